"""Polling through the real intake and fold: each change of an advisory is one event."""

from app.core.policy import DEFAULT_POLICY
from app.core.ports import SourceUnreadable
from app.core.state import TenantProfile
from app.flow.fold import Fold
from app.flow.ingest import Intake
from app.flow.poll import Poll
from app.flow.poll_terms import Cadence
from app.formats.native_v1 import Renderer
from app.kit.clock import FixedClock
from app.store import advisories
from app.store import events as stored_events
from app.store.engine import Database
from tests.builders import NOW, TENANT, a_post, minutes
from tests.flow.polling import CALM, HOT, Source, served


async def test_with_the_real_fold_each_change_is_one_event(sqlite_database: Database) -> None:
    db, clock, source = (
        sqlite_database,
        FixedClock(NOW),
        Source(served(), served("EX2", is_resolved=True)),
    )
    fold = Fold(
        db,
        clock,
        render=Renderer(public_url="http://127.0.0.1:8000"),
        plan=lambda *_: 0,
        policy=DEFAULT_POLICY,
        profiles={TENANT: TenantProfile(id=TENANT, users=500)},
        committed=lambda: None,
    )
    poll = Poll(
        db,
        clock,
        source,
        tenant=TENANT,
        append=Intake(db).append_advisories,
        announce=fold.news,
        cadence=Cadence(hot=HOT, calm=CALM),
    )

    async def events() -> list[str]:
        before = await db.read(lambda c: stored_events.bounds(c, TENANT)[1])
        clock.at += minutes(1)
        await poll.step()
        while await fold.step(TENANT):
            pass
        made = await db.read(lambda c: stored_events.after(c, TENANT, before, 100))
        return [str(event.type) for event in made]

    assert await events() == ["incident.opened"]
    assert await events() == []
    second = a_post(id="EX1-2", created_at=NOW + minutes(1), text="Current status: news.")
    source.advisories[0] = served(posts=(*source.advisories[0].posts, second))
    assert (await events()).count("incident.advisory_updated") == 1
    assert await events() == []
    source.unknown = (("status", "serviceSplendid"),)
    assert await events() == ["source.unknown_value"]
    kept, source.advisories = source.advisories, []
    assert await events() == []
    assert await events() == ["incident.advisory_updated"]
    stored = await db.read(lambda c: advisories.get(c, TENANT, "EX1"))
    assert stored is not None
    assert stored.advisory.withdrawn
    assert len(stored.incidents) == 1
    source.advisories = kept
    source.trouble = SourceUnreadable("unavailable", "503")
    told = [kind for _ in range(25) for kind in await events()]
    assert told.count("source.stale") == 1
    source.trouble = None
    told = [kind for _ in range(8) for kind in await events()]
    assert told.count("source.recovered") == 1
    assert told.count("incident.advisory_updated") == 1
