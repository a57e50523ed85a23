"""Links as people use them: asked to look again, woken by a hint; and shown beside an incident."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from app.core.errors import NotFound, Unauthenticated
from app.core.link import Link
from app.core.types import TenantId
from app.flow.acts import Act, noted
from app.kit import signing
from app.kit.clock import Clock
from app.store import links
from app.store.engine import Database

HINT_ID = "webhook-id"


class Links:
    """The links of all mirrors; ``secrets`` gives the key of its hints by the name of a mirror.

    ``clock`` is the story's, ``wall`` the time of day that signatures carry.
    """

    def __init__(
        self, db: Database, clock: Clock, *, wall: Clock, secrets: Callable[[], Mapping[str, str]]
    ) -> None:
        self._db = db
        self._clock = clock
        self._wall = wall
        self._secrets = secrets

    async def get(self, tenant: TenantId | None, identity: str) -> Link:
        """One link.

        Raises:
            NotFound: there is none of that id.
        """
        found = await self._db.read(lambda c: links.get(c, tenant, identity))
        if found is None:
            raise NotFound
        return found

    async def resync(self, link: Link, *, act: Act | None = None) -> Link:
        """Have a link looked at now, whatever it waits for."""
        now = self._clock.now()

        def unit(c: Connection) -> None:
            links.wake(c, link.id, now)
            noted(act, c, link.id, after={"due_at": now.isoformat()}, made=link)

        await self._db.write(unit)
        return link

    async def hint(self, mirror: str, headers: Mapping[str, str], body: bytes) -> None:
        """Take a signed hint: the mirror asks what changed; what it says itself is not read.

        Raises:
            Unauthenticated: it is not signed with the mirror's secret, not timely, or a repetition.
        """
        secret = self._secrets().get(mirror)
        if secret is None:
            raise Unauthenticated("This mirror takes no hints.")
        try:
            signing.verify([secret], headers=headers, body=body, now=self._wall.now())
        except signing.BadSignature as error:
            raise Unauthenticated("The hint is not signed as it must be.") from error
        identity, now = headers.get(HINT_ID, ""), self._clock.now()
        fresh = await self._db.write(lambda c: links.hint(c, mirror, identity, now=now))
        if not fresh:
            raise Unauthenticated("This hint came before.")


def shown_by(found: Sequence[Link]) -> dict[str, list[dict[str, Any]]]:
    """Incident id → what a document shows of its links, the newest generation last."""
    made: dict[str, list[dict[str, Any]]] = {}
    for link in found:
        made.setdefault(link.incident or "", []).append(
            {"system": link.system, "number": link.number, "url": link.url,
             "state": link.state.value}
        )  # fmt: skip
    return made
