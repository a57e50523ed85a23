"""A world to mirror in: an engine, an instance that misbehaves on command, one clock for both."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx
from pydantic import SecretStr

from app.clients.servicenow import Basic, ServiceNowClient
from app.core.incident import Incident
from app.core.link import Link
from app.core.ports import IncidentPictures
from app.core.types import IncidentId, TenantId
from app.flow.mirror import MirrorLoop
from app.flow.terms import Terms, Tools
from app.sinks.servicenow.settings import BasicSettings, MirrorCredential, MirrorSettings
from app.sinks.servicenow.sink import ServiceNowMirror
from app.store import incidents, links
from app.store.engine import Database
from tests.builders import NOW, TENANT
from tests.flow.engine import EngineWorld
from tests.standins.servicenow import Instance, User, app_of
from tests.standins.servicenow.incidents import change
from tests.standins.servicenow.instance import Record
from tests.standins.servicenow.serve import Broken

AGENT = User(name="demo.agent", sys_id="a" * 32, roles=frozenset({"itil"}))
BASE = "https://dev.example.com"


class Breaking(httpx.AsyncBaseTransport):
    """Carries requests to the instance; what breaks there breaks as it would on a wire.

    ``before`` and ``after`` are called around each request; what they raise is the caller's end.
    """

    def __init__(self, instance: Instance) -> None:
        self._inner = httpx.ASGITransport(app_of(instance))
        self.before: Callable[[httpx.Request], Awaitable[None]] | None = None
        self.after: Callable[[httpx.Request], Awaitable[None]] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.before is not None:
            await self.before(request)
        try:
            response = await self._inner.handle_async_request(request)
        except Broken:
            raise httpx.ReadTimeout("nothing came", request=request) from None
        if self.after is not None:
            await self.after(request)
        return response


def settings_of(**changes: Any) -> MirrorSettings:
    """The settings of a mirror into the instance."""
    basic = BasicSettings(username="sextant", password=SecretStr("pw"))
    values: dict[str, Any] = {
        "name": "snow", "base_url": BASE, "credential": MirrorCredential(basic=basic),
    }  # fmt: skip
    return MirrorSettings(**{**values, **changes})


@dataclass(slots=True)
class Painter:
    """Draws nothing worth seeing; ``drawn`` says what was asked of it."""

    fails: Exception | None = None
    content: bytes = b"\x89PNG\r\n\x1a\n picture"
    drawn: list[tuple[str, str, bool]] = field(default_factory=list)

    async def draw(
        self, tenant: TenantId, incident: IncidentId, form: str, *, outside: bool = False
    ) -> bytes | None:
        self.drawn.append((str(incident), form, outside))
        if self.fails is not None:
            raise self.fails
        return self.content


class MirrorWorld(EngineWorld):
    """Everything around the mirror; ``replica`` makes further loops over the same database."""

    def __init__(
        self,
        db: Database,
        *,
        terms: dict[str, Any] | None = None,
        tenant: TenantId = TENANT,
        pictures: IncidentPictures | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(db, tenant)
        self.pictures = pictures
        self.instance = Instance(now=self.clock.now)
        self.instance.add_user(User(name="sextant", password="pw"))
        self.instance.add_user(AGENT)
        self.settings = settings_of(**settings)
        given = {"tenant": tenant, **(terms or {})}
        self.terms = Terms(**given)
        self.wires: list[Breaking] = []
        self.loop = self.replica()

    def replica(self, db: Database | None = None) -> MirrorLoop:
        """A loop of its own; with a view of the database also with a fold of its own."""
        fold = self.fold_over(db) if db else self.fold
        wire = Breaking(self.instance)
        self.wires.append(wire)
        client = httpx.AsyncClient(transport=wire, base_url=BASE, timeout=75)
        mirror = ServiceNowMirror(
            ServiceNowClient(client, Basic("sextant", "pw")),
            self.settings,
            monotonic=self.seconds,
        )
        return MirrorLoop(
            Tools(
                db=db or self.db, clock=self.clock, mirror=mirror, terms=self.terms,
                obey=fold.command, announce=fold.news,
                url_of=self.url_of, pictures=self.pictures,
            )
        )  # fmt: skip

    def seconds(self) -> float:
        return self.clock.at.timestamp()

    async def run(self, seconds: float, *, loop: MirrorLoop | None = None) -> None:
        """Let so much time pass; the clock jumps from one thing to do to the next."""
        end = self.clock.at + timedelta(seconds=seconds)
        carry = loop or self.loop
        while self.clock.at <= end:
            await carry.step()
            following = await self.db.read(lambda c: links.next_at(c, self.settings.name))
            if following is None or following > end:
                break
            self.clock.at = max(self.clock.at, following)
        self.clock.at = max(end, self.clock.at)
        await carry.step()

    def human(self, record: Record, **body: str) -> None:
        """Somebody at the desk changes a ticket."""
        change(self.instance, AGENT, record, body, display=False)

    def ticket(self, number: int = 0) -> Record:
        """A ticket of ours, in the order in which they were made."""
        return self.instance.incidents(correlation_display="Sextant")[number]

    def tickets(self) -> list[Record]:
        return self.instance.incidents(correlation_display="Sextant")

    def link(self, incident: Incident) -> Link:
        found = self.db.read_now(lambda c: links.newest(c, self.settings.name, str(incident.id)))
        assert found is not None
        return found

    def incident(self, incident: Incident) -> Incident:
        found = self.db.read_now(lambda c: incidents.get(c, self.tenant, str(incident.id)))
        assert found is not None
        return found

    def notes(self, number: int = 0) -> list[str]:
        return self.instance.notes_of(self.ticket(number)["sys_id"])

    def writes(self, *methods: str) -> list[Any]:
        wanted = methods or ("POST", "PATCH")
        return [one for one in self.instance.log if one.method in wanted]


def at(seconds: float) -> datetime:
    """An instant so long after the beginning."""
    return NOW + timedelta(seconds=seconds)
