"""A world to tell in: an engine, a channel of any kind, and one clock for the flow."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from app.core.announce import ChannelFacts, Send, Updates, Verdict, plain_message
from app.core.incident import Incident
from app.core.link import Link
from app.core.ports import Channel, Choose, IncidentPictures, Say
from app.core.types import TenantId
from app.flow.announce import ChannelTerms, ChannelTools
from app.flow.channel import ChannelLoop
from app.flow.terms import Terms
from app.store import links
from app.store.engine import Database
from tests.builders import TENANT
from tests.flow.engine import EngineWorld


def all_of(
    incident: Incident, living: Sequence[Incident], plan: Sequence[ChannelFacts]
) -> dict[str, Verdict]:
    """Use every channel."""
    return {one.name: Send() for one in plan}


class TellingWorld(EngineWorld):
    """Everything around one channel; ``replica`` makes a further loop over the same database."""

    def __init__(
        self, db: Database, channel: Channel, *, tenant: TenantId = TENANT,
        updates: Updates = Updates.ALL, choose: Choose = all_of, say: Say = plain_message,
        plan: tuple[ChannelFacts, ...] = (), gap: float = 0,
        pictures: IncidentPictures | None = None, **terms: Any,
    ) -> None:  # fmt: skip
        super().__init__(db, tenant)
        self.channel = channel
        facts = ChannelFacts(name=channel.name, kind=channel.kind)
        given = {"tenant": tenant, "debounce": timedelta(0), **terms}
        self.terms = ChannelTerms(
            terms=Terms(**given), facts=facts, plan=plan or (facts,), updates=updates,
            gap=timedelta(seconds=gap),
        )  # fmt: skip
        self.choose, self.say, self.pictures = choose, say, pictures
        self.loop = self.replica()

    def replica(self) -> ChannelLoop:
        return ChannelLoop(
            ChannelTools(
                db=self.db, clock=self.clock, channel=self.channel, terms=self.terms,
                say=self.say, choose=self.choose,
                url_of=self.url_of,
                announce=self.fold.news, pictures=self.pictures,
            )
        )  # fmt: skip

    async def run(self, seconds: float = 0, *, loop: ChannelLoop | None = None) -> None:
        """Let so much time pass; the clock jumps from one thing to do to the next."""
        carry, end = loop or self.loop, self.clock.at + timedelta(seconds=seconds)
        for _ in range(200):
            await carry.step()
            due = await self.db.read(lambda c: links.next_due(c, self.channel.name))
            if due is None or due > end:
                break
            self.clock.at = max(self.clock.at, due)
            if carry._closed_until is not None and carry._closed_until > self.clock.at:
                if carry._closed_until > end:
                    break
                self.clock.at = carry._closed_until
        self.clock.at = max(end, self.clock.at)

    def link(self, incident: Incident) -> Link:
        name = self.channel.name
        found = self.db.read_now(lambda c: links.newest(c, name, str(incident.id)))
        assert found is not None
        return found
