"""An engine and one clock: what the worlds of mirrors and of channels stand on."""

from typing import Any

from app.core.incident import Incident
from app.core.policy import Policy
from app.core.signal import Command
from app.core.state import TenantProfile
from app.core.types import ActorKind, SignalId, TenantId
from app.flow.fold import Fold
from app.formats.native_v1 import Renderer
from app.kit.clock import FixedClock
from app.kit.ids import new_id
from app.store import deliveries
from app.store.engine import Database
from tests.builders import NOW


class EngineWorld:
    """A tenant whose incidents people open and change."""

    def __init__(self, db: Database, tenant: TenantId) -> None:
        self.db, self.tenant = db, tenant
        self.clock = FixedClock(NOW)
        self.fold = self.fold_over(db)

    def fold_over(self, db: Database) -> Fold:
        """A fold of its own, as each process has one."""
        return Fold(
            db, self.clock, render=Renderer(public_url="http://x"), plan=deliveries.plan,
            policy=Policy(), profiles={self.tenant: TenantProfile(id=self.tenant, users=100)},
            committed=lambda: None,
        )  # fmt: skip

    def url_of(self, incident: str) -> str:
        return f"http://x/incidents/{incident}"

    async def open(self, title: str = "Mail is down", severity: str = "major") -> Incident:
        body = {"title": title, "services": ["exchange-online"], "severity": severity}
        return await self.fold.command(self.tenant, self._command("open", body))

    async def do(self, name: str, incident: Incident, **body: Any) -> Incident:
        return await self.fold.command(self.tenant, self._command(name, body, str(incident.id)))

    def _command(self, name: str, body: dict[str, Any], incident: str | None = None) -> Command:
        return Command(
            id=SignalId(new_id("cmd")), name=name, actor_kind=ActorKind.PERSON.value,
            actor="anna", received_at=self.clock.at, body=body, incident=incident,
        )  # fmt: skip
