"""The truth about advisories: what recorded and realistic data do to the picture and its events.

Everything is real but the network: raw issues, their translation, the poll, the intake and the
fold. The issues are those of tests/fixtures/graph (see SOURCES.md there), changed as told.
"""

import copy
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.core.policy import DEFAULT_POLICY
from app.core.signal import Advisory
from app.core.state import TenantProfile
from app.core.types import Status
from app.flow.fold import Fold
from app.flow.ingest import Intake
from app.flow.poll import Poll
from app.flow.poll_terms import Cadence
from app.formats.native_v1 import Renderer
from app.kit.clock import FixedClock
from app.sources.graph import Translator
from app.store import advisories, incidents
from app.store import events as stored_events
from app.store.advisories import StoredAdvisory
from app.store.engine import Database
from tests.builders import TENANT, minutes

FIXTURES = Path(__file__).parent.parent / "fixtures" / "graph"
RECORDED = {i["id"]: i for i in json.loads((FIXTURES / "issues_in_v1_shape.json").read_text())}
START = datetime(2026, 3, 16, 6, 30, tzinfo=UTC)
UPDATED = "incident.advisory_updated"


def stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def issue(base: str = "SP220211", **changes: Any) -> dict[str, Any]:
    """A recorded issue with changes; ``still_open`` takes it back to before its end."""
    made = copy.deepcopy(RECORDED[base])
    if changes.pop("still_open", False):
        changes = {
            "isResolved": False, "endDateTime": None, "status": "serviceDegradation", **changes
        }  # fmt: skip
    return made | changes


class World:
    """Everything between a list of raw issues and the event log, at an instant that is set."""

    def __init__(self, db: Database) -> None:
        self.db, self.clock = db, FixedClock(START)
        self.served: list[dict[str, Any]] = []
        self.translator = Translator()
        self.fold = Fold(
            db,
            self.clock,
            render=Renderer(public_url="http://127.0.0.1:8000"),
            plan=lambda *_: 0,
            policy=DEFAULT_POLICY,
            profiles={TENANT: TenantProfile(id=TENANT, users=500, reads_vendor=True)},
            committed=lambda: None,
        )
        self.poll = Poll(
            db,
            self.clock,
            self,
            tenant=TENANT,
            append=Intake(db).append_advisories,
            announce=self.fold.news,
            cadence=Cadence(reconcile=timedelta(seconds=60), calm=timedelta(seconds=60)),
        )

    name = "graph"

    def owns(self, vendor_id: str) -> bool:
        return True

    async def read(self, *, known_open: Any, full: bool, now: datetime) -> Any:
        return await self.translator.all(self.served, names={}, full=full, now=now)

    async def events(self, *served: dict[str, Any], after: float = 1) -> list[str]:
        """Serve, read and fold; the types of the events that this made."""
        self.served = list(served)
        before = await self.db.read(lambda c: stored_events.bounds(c, TENANT)[1])
        self.clock.at += minutes(after)
        await self.poll.step()
        while await self.fold.step(TENANT):
            pass
        made = await self.db.read(lambda c: stored_events.after(c, TENANT, before, 100))
        self.bodies = [json.loads(event.body) for event in made]
        return [str(event.type) for event in made]

    async def stored(self, vendor_id: str = "SP220211") -> StoredAdvisory:
        found = await self.db.read(lambda c: advisories.get(c, TENANT, vendor_id))
        assert found is not None
        return found

    async def advisory(self, vendor_id: str = "SP220211") -> Advisory:
        return (await self.stored(vendor_id)).advisory

    async def status(self) -> list[Status]:
        living = await self.db.read(lambda c: incidents.living(c, TENANT))
        return [incident.status for incident in living]


@pytest.fixture
def world(sqlite_database: Database) -> World:
    return World(sqlite_database)


async def test_first_contact_takes_history_in_silently(world: World) -> None:
    history = [issue(key) for key in RECORDED]
    told = await world.events(*history, issue("TM218696", id="TM999", still_open=True))
    assert told == ["incident.opened"]
    (opened,) = world.bodies
    assert opened["data"]["reason"] == "primed"
    listed = await world.db.read(lambda c: advisories.page(c, TENANT, limit=100))
    assert {kept.advisory.vendor_id for kept in listed} == {*RECORDED, "TM999"}
    assert {kept.advisory.vendor_id for kept in listed if kept.incidents} == {"TM999"}
    assert await world.events(*history, issue("TM218696", id="TM999", still_open=True)) == []


async def test_a_resolved_advisory_that_comes_late_is_history_too(world: World) -> None:
    await world.events(issue("FM298724"))
    assert await world.events(issue("FM298724"), issue()) == []
    assert (await world.advisory()).is_resolved


async def test_a_moved_stamp_over_equal_content_is_nothing(world: World) -> None:
    """SP220211 itself was modified 2.7 days after its last post, without any other change."""
    await world.events(issue(still_open=True))
    moved = issue(still_open=True, lastModifiedDateTime="2026-03-16T07:00:00Z")
    assert await world.events(moved) == []
    assert (await world.stored()).revision == 1


async def test_content_that_moves_under_an_equal_stamp_is_one_update(world: World) -> None:
    """MC1009932 did so between two reads of its own archive."""
    before = issue(still_open=True)
    after = copy.deepcopy(before)
    after["posts"][-1]["description"]["content"] += "\nScope of impact: Users in Germany."
    await world.events(before)
    assert (await world.events(after)).count(UPDATED) == 1
    assert await world.events(after) == []
    assert (await world.stored()).revision == 2


async def test_volatile_details_are_no_news(world: World) -> None:
    """MC1009932 carried the server's clock and shuffled lists in a detail at every read."""

    def details(clock: str, *rings: str) -> list[dict[str, str]]:
        status = {"readAt": clock, "rings": [{"name": ring} for ring in rings]}
        return [{"name": "FeatureStatusJson", "value": json.dumps(status)}]

    one = issue(still_open=True, details=details("2026-03-16T06:30:00Z", "a", "b"))
    other = issue(still_open=True, details=details("2026-03-16T06:31:00Z", "b", "a"))
    await world.events(one)
    assert await world.events(other) == []


async def test_pascal_case_means_the_same(world: World) -> None:
    camel = issue(still_open=True, classification="incident")
    pascal = issue(
        still_open=True, classification="Incident", status="ServiceDegradation", origin="Microsoft"
    )
    await world.events(camel)
    assert await world.events(pascal) == []
    assert await world.events({**pascal, "surprise": {"new": [1]}, "@odata.etag": "x"}) == []


async def test_an_unknown_word_counts_as_open_and_is_told_once(world: World) -> None:
    await world.events(issue("FM298724"))
    odd = issue(still_open=True, status="serviceSplendid", classification="catastrophe")
    told = await world.events(odd)
    assert sorted(told) == ["incident.opened", *["source.unknown_value"] * 2]
    assert await world.events(odd) == []
    assert await world.status() == [Status.CONFIRMED]
    healed = issue(status="unknownFutureValue")
    told = await world.events(healed)  # isResolved decides, whatever the word
    assert "incident.resolved" in told
    assert told.count("source.unknown_value") == 1


async def test_a_start_that_moves_back_is_one_update_and_keeps_both_times(world: World) -> None:
    """EX1268771 said 2 April in its field and 17 March in its text."""
    await world.events(issue(still_open=True))
    first = await world.advisory()
    moved = issue(still_open=True, startDateTime="2020-07-28T14:00:00Z")
    assert (await world.events(moved)).count(UPDATED) == 1
    now = await world.advisory()
    assert now.started_at == datetime(2020, 7, 28, 14, tzinfo=UTC)
    assert now.stated_started_at == first.stated_started_at
    assert now.first_seen_at == first.first_seen_at


async def test_posts_in_any_order_and_repeated_are_the_same_posts(world: World) -> None:
    """TM218696 serves its last post as the seventh of thirteen."""
    plain = issue("TM218696", still_open=True)
    await world.events(plain)
    shuffled = copy.deepcopy(plain)
    random.Random(4).shuffle(shuffled["posts"])
    shuffled["posts"] += shuffled["posts"][:5]
    assert await world.events(shuffled) == []
    posts = (await world.advisory("TM218696")).posts
    assert len(posts) == 13
    assert [p.created_at for p in posts] == sorted(p.created_at for p in posts)


async def test_a_post_that_vanishes_is_kept_and_a_new_one_is_news(world: World) -> None:
    whole = issue("TM218696", still_open=True)
    await world.events(whole)
    cut = {**whole, "posts": whole["posts"][:4]}
    assert await world.events(cut) == []
    new = {
        "createdDateTime": "2026-03-16T06:35:00Z",
        "postType": "quick",
        "description": {"contentType": "html", "content": "It is <b>better</b> now."},
    }
    assert (await world.events({**cut, "posts": [*cut["posts"], new]})).count(UPDATED) == 1
    posts = (await world.advisory("TM218696")).posts
    assert (len(posts), posts[-1].text) == (14, "It is better now.")


async def test_an_issue_may_turn_from_advisory_to_incident(world: World) -> None:
    await world.events(issue(still_open=True, classification="advisory"))
    told = await world.events(issue(still_open=True, classification="incident"))
    assert told.count(UPDATED) == 1
    (living,) = await world.db.read(lambda c: incidents.living(c, TENANT))
    assert living.severity.word == "major"
    assert living.advisories[0].classification == "incident"


async def test_an_issue_may_change_its_service(world: World) -> None:
    await world.events(issue(still_open=True))
    told = await world.events(issue(still_open=True, service="OneDrive for Business"))
    assert told.count(UPDATED) == 1
    assert (await world.advisory()).service == "onedrive"
    (living,) = await world.db.read(lambda c: incidents.living(c, TENANT))
    assert "onedrive" in living.services


async def test_a_drifted_display_name_is_the_same_service(world: World) -> None:
    await world.events(issue(still_open=True, service="Identity Service"))
    assert await world.events(issue(still_open=True, service="Microsoft Entra")) == []


async def test_an_issue_may_come_back_after_its_resolution(world: World) -> None:
    await world.events(issue(still_open=True))
    ended = issue(lastModifiedDateTime=stamp(world.clock.at))
    assert "incident.resolved" in await world.events(ended)
    assert await world.status() == [Status.RESOLVED]
    again = issue(still_open=True, lastModifiedDateTime=stamp(world.clock.at + minutes(5)))
    told = await world.events(again, after=5)
    assert "incident.reopened" in told
    assert not (await world.advisory()).is_resolved
    assert "incident.resolved" in await world.events(
        issue(lastModifiedDateTime=stamp(world.clock.at + minutes(9))), after=9
    )


async def test_absent_is_withdrawn_and_not_resolved(world: World) -> None:
    await world.events(issue(still_open=True))
    assert await world.events() == []
    told = await world.events()
    assert told == [UPDATED]
    gone = await world.advisory()
    assert gone.withdrawn
    assert not gone.is_resolved
    assert await world.status() == [Status.CONFIRMED]
    assert await world.events(issue(still_open=True)) == [UPDATED]


async def test_a_false_positive_is_dismissed_and_not_resolved(world: World) -> None:
    """LY220759 was issued as an incident and found to be none."""
    await world.events(issue("LY220759", still_open=True))
    told = await world.events(issue("LY220759", status="falsePositive", isResolved=True))
    assert "incident.dismissed" in told
    assert "incident.resolved" not in told


async def test_a_review_that_comes_late_reopens_nothing(world: World) -> None:
    """FM298724 posts its review three times over five days."""
    whole = issue("FM298724")
    await world.events(issue("FM298724", still_open=True, posts=whole["posts"][:3]))
    restored = issue("FM298724", status="serviceRestored", posts=whole["posts"][:3])
    assert "incident.resolved" in await world.events(restored)
    for number in (4, 5, 6):
        later = issue("FM298724", posts=whole["posts"][:number])
        assert await world.events(later, after=60 * 20) in ([UPDATED], ["incident.closed"], [
            UPDATED, "incident.closed",
        ])  # fmt: skip
    assert (await world.advisory("FM298724")).status == "postIncidentReviewPublished"


async def test_what_is_unsafe_is_gone_before_it_is_stored(world: World) -> None:
    nasty = (
        '<p onclick="x()">Hi</p><script>alert(1)</script><img src=x onerror=alert(1)>'
        '<a href="javascript:alert(1)">a</a><a href="https://x.test/">b</a><style>p{}</style>'
    )
    post = {
        "createdDateTime": "2026-03-16T06:35:00Z",
        "postType": "regular",
        "description": {"contentType": "html", "content": nasty},
    }
    await world.events(issue(still_open=True, posts=[post]))
    (kept,) = (await world.advisory()).posts
    assert "script" not in kept.html
    assert "onerror" not in kept.html
    assert "onclick" not in kept.html
    assert 'href="https://x.test/"' in kept.html
    assert kept.text == "Hi\nab"


async def test_one_issue_under_two_services_is_one_advisory(world: World) -> None:
    first = issue(still_open=True, lastModifiedDateTime="2026-03-16T06:00:00Z")
    second = issue(still_open=True, service="OneDrive", lastModifiedDateTime="2026-03-16T06:00:00Z")
    assert await world.events(first, second) == ["incident.opened"]
    assert await world.events(first, second) == []
    assert await world.events(first, second) == []
