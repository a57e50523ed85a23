"""What comes back from a channel: a signed delivery becomes a command, each once."""

import logging
from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from app.core.document import rfc3339
from app.core.errors import IllegalTransition, InvalidInput, NotFound, Unauthenticated
from app.core.ids import derived
from app.core.incident import Incident
from app.core.link import Link
from app.core.returned import Returned
from app.core.returned import Returns as Reader
from app.core.signal import Command
from app.core.types import OPEN_STATUSES, ActorKind, SignalId
from app.flow.terms import Obey
from app.kit.clock import Clock
from app.store import incidents, links
from app.store.engine import Database

log = logging.getLogger(__name__)


class Returns:
    """Takes deliveries of channels that people answer on; ``readers`` gives those by name."""

    def __init__(
        self, db: Database, clock: Clock, *, obey: Obey, readers: Callable[[], Mapping[str, Reader]]
    ) -> None:
        self._db = db
        self._clock = clock
        self._obey = obey
        self._readers = readers

    async def take(self, channel: str, headers: Mapping[str, str], body: bytes) -> None:
        """Take one delivery. Whatever it says, it is accepted: a refusal would end the others.

        Raises:
            Unauthenticated: it is not signed by whom this channel knows.
            StorageUnavailable: it was not stored; it may come again.
        """
        reader = self._readers().get(channel)
        if reader is None:
            raise Unauthenticated("Nothing comes back on this channel.")
        for found in reader.read(headers, body):
            await self._take(channel, found)

    async def _take(self, channel: str, found: Returned) -> None:
        link, incident = await self._db.write(lambda c: self._known(c, channel, found))
        if link is None or incident is None or not found.name or not _may(found, incident):
            return
        now = self._clock.now()
        command = Command(
            id=SignalId(derived(channel, found.id, rfc3339(now) or "", size=16)),
            name=found.name,
            actor_kind=ActorKind.MIRROR.value,
            actor=channel,
            received_at=now,
            body=dict(found.body),
            incident=incident.id,
        )

        def once(c: Connection) -> None:
            if not links.hint(c, channel, found.id, now=now):
                raise _Repeated

        try:
            await self._obey(link.tenant, command, also=once)
        except _Repeated:
            return
        except (IllegalTransition, InvalidInput, NotFound) as error:
            log.info("return_not_obeyed", extra={"channel": channel, "why": type(error).__name__})

    def _known(
        self, c: Connection, channel: str, found: Returned
    ) -> tuple[Link | None, Incident | None]:
        """The link that a delivery is about; it learns what the record is called over there."""
        subject = found.thread.partition(":")[2]
        link = links.newest(c, channel, subject) if subject else None
        if link is None and found.remote_id:
            link = links.by_remote(c, channel, [found.remote_id]).get(found.remote_id)
        if link is None or link.incident is None:
            return None, None
        if found.remote_id and link.remote_id is not None and link.remote_id != found.remote_id:
            links.rename(c, link.id, remote_id=found.remote_id, url=found.url or None)
        return link, incidents.get(c, link.tenant, link.incident)


class _Repeated(Exception):  # noqa: N818 - not an error: it was taken before
    """The delivery was taken before."""


def _may(found: Returned, incident: Incident) -> bool:
    """Whether a command is of any use: an acknowledgement once, the rest while it goes on."""
    if incident.status not in OPEN_STATUSES:
        return False
    return found.name != "acknowledge" or incident.acknowledged_at is None
