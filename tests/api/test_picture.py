"""The picture over HTTP: services, sources, probes and advisories; and health beside it."""

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import Connection
from sqlmodel import SQLModel

from app.api import health
from app.api.picture import probe_state
from app.api.v1.advisories import AdvisoryList, AdvisoryOut, AdvisoryPage
from app.core.incident import LinkedAdvisory
from app.core.state import Bin, Cell, EngineState, Learned, ProbeMinute, Track, minute_of
from app.core.types import Condition, Outcome, SignalKind
from app.store import advisories, incidents, intake, probes, sources, states
from app.store.health import write_probe
from app.store.migrate import HEAD, VERSION_TABLE
from app.store.states import Checkpoint
from tests.api.conftest import OTHER, Context, make_key
from tests.builders import NOW, TENANT, a_probe_result, an_advisory, an_incident

INTERVAL = timedelta(seconds=60)


def read_graph(world: Context, *, failed: bool = False) -> None:
    """Note that Graph was read, or could not be."""
    known = {"kind": "graph", "name": "Microsoft Graph", "interval": INTERVAL, "now": NOW}
    if failed:
        world.db.write_now(
            lambda c: sources.record_error(
                c, TENANT, "graph", **known, code="http_503", text="Down.", remedy="Wait."
            )
        )
        return
    world.db.write_now(lambda c: sources.record_complete(c, TENANT, "graph", **known))


def store_advisory(world: Context, **changes: object) -> None:
    world.db.write_now(lambda c: advisories.upsert(c, TENANT, an_advisory(**changes), None, 3))


async def line(client: httpx.AsyncClient, key: dict[str, str], service: str) -> dict[str, object]:
    answer = await client.get("/v1/services", headers=key)
    assert answer.status_code == 200, answer.text
    found = {item["service"]: item for item in answer.json()["items"]}
    picked: dict[str, object] = found[service]
    return picked


async def test_the_board_shows_what_each_source_says(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str]
) -> None:
    assert (await line(client, admin, "exchange-online"))["condition"] == "unknown"
    read_graph(world)
    assert (await line(client, admin, "exchange-online"))["condition"] == "healthy"
    store_advisory(world)
    mail = await line(client, admin, "exchange-online")
    assert mail["condition"] == "degraded"
    assert mail["sources"]["advisory"]["as_of"].startswith("2026-03-16T06:30:00")
    world.db.write_now(lambda c: probes.record(c, TENANT, [a_probe_result()]))
    mail = await line(client, admin, "exchange-online")
    assert mail["condition"] == mail["sources"]["probe"]["condition"] == "failing"
    world.db.write_now(lambda c: incidents.put(c, [an_incident()]))
    assert (await line(client, admin, "exchange-online"))["incidents"] == ["inc_1"]
    assert (await line(client, admin, "microsoft-teams"))["condition"] == "healthy"
    world.clock.at = NOW + timedelta(minutes=4)
    assert (await line(client, admin, "microsoft-teams"))["condition"] == "unknown"
    theirs = await make_key(world, "incidents:read", tenant=OTHER)
    assert (await line(client, theirs, "exchange-online"))["condition"] == "unknown"


async def test_that_nobody_complains_says_nothing_where_nobody_ever_reported(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str]
) -> None:
    async def users(service: str) -> str:
        sources = (await line(client, admin, service))["sources"]
        assert isinstance(sources, dict)
        word: str = sources["client_report"]["condition"]
        return word

    cell = Cell(
        service="exchange-online", client="ews", symptom="timeout", region=None, location=None,
        counts={minute_of(NOW): 1},
    )  # fmt: skip
    learned = Learned(bins={"onedrive": {9: Bin(count=1.0)}, "viva": {9: Bin(count=0.01)}})
    body = states.encode(EngineState(cells={"a": cell}, learned=learned))
    before, after = Checkpoint(), Checkpoint(revision=1)

    assert await users("exchange-online") == "unknown"

    def heard(c: Connection) -> None:
        intake.append_rows(
            c, TENANT, SignalKind.CLIENT_REPORT, [b"1"], ids=b"12345678", source="door",
            intake_id="int_1", received_at=NOW,
        )  # fmt: skip
        states.swap(c, TENANT, before, after, body=body, policy="", now=NOW)

    world.db.write_now(heard)
    assert await users("exchange-online") == await users("onedrive") == "healthy"
    assert await users("microsoft-teams") == await users("viva") == "unknown"
    world.clock.at = NOW + timedelta(days=8)
    assert await users("exchange-online") == "unknown"


async def test_sources_tell_how_fresh_they_are(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str]
) -> None:
    async def states() -> dict[str, str]:
        answer = await client.get("/v1/sources", headers=admin)
        return {item["kind"]: item["state"] for item in answer.json()["items"]}

    assert await states() == {"client_report": "never_read", "probe": "never_read"}
    read_graph(world)
    assert (await states())["graph"] == "fresh"
    world.clock.at = NOW + timedelta(minutes=4)
    assert (await states())["graph"] == "stale"
    read_graph(world, failed=True)
    answer = await client.get("/v1/sources", headers=admin)
    (graph,) = [item for item in answer.json()["items"] if item["kind"] == "graph"]
    assert graph["last_error"]["code"] == "http_503"
    assert graph["last_error"]["remedy"] == "Wait."


async def test_probes_show_their_newest_result(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str]
) -> None:
    results = [
        a_probe_result(),
        a_probe_result(location="munich", outcome=Outcome.OK, latency_ms=81.5),
    ]
    world.db.write_now(lambda c: probes.record(c, TENANT, results))
    items = (await client.get("/v1/probes", headers=admin)).json()["items"]
    assert [(i["location"], i["condition"]) for i in items] == [
        ("berlin", "failing"),
        ("munich", "healthy"),
    ]
    assert items[1]["latency_ms"] == 81.5
    world.clock.at = NOW + timedelta(hours=1)
    items = (await client.get("/v1/probes", headers=admin)).json()["items"]
    assert {(i["condition"], i["stale"]) for i in items} == {("unknown", True)}


async def test_probes_show_what_was_learned_and_what_the_locations_say_together(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str]
) -> None:
    start = NOW - timedelta(hours=30)
    good = [
        a_probe_result(
            location=place, outcome=Outcome.OK, at=start + n * timedelta(minutes=30),
            answer={"status": "302"},
        )
        for n in range(60) for place in ("berlin", "munich", "paris")
    ]  # fmt: skip
    bad = [
        a_probe_result(location=place, at=NOW - timedelta(seconds=30 - n))
        for n in range(3) for place in ("berlin", "munich")
    ]  # fmt: skip
    changed = a_probe_result(location="paris", outcome=Outcome.OK, at=NOW, answer={"status": "200"})
    world.db.write_now(lambda c: probes.record(c, TENANT, [*good, *bad, changed]))
    berlin, _, paris = (await client.get("/v1/probes", headers=admin)).json()["items"]
    assert (berlin["state"], paris["state"]) == ("down", "changed")
    assert berlin["quorum"] == {
        "verdict": "down", "failing": 2, "speaking": 3, "abstaining": 0, "needed": 2,
    }  # fmt: skip
    assert berlin["signature"]["state"] == "learned"
    assert berlin["signature"]["expects"] == {"status": ["302"]}
    assert paris["signature"]["departed"] == {"status": "200"}
    wish = {"probe": "owa-front-door", "location": "paris"}
    answer = await client.post("/v1/probes/relearn", headers=admin, json=wish)
    assert answer.json() == {"probe": "owa-front-door", "forgotten": 1}
    paris = (await client.get("/v1/probes", headers=admin)).json()["items"][2]
    assert (paris["state"], paris["signature"]) == ("up", None)
    unknown = await client.post("/v1/probes/relearn", headers=admin, json={"probe": "none"})
    assert unknown.status_code == 404


def a_track(*minutes: ProbeMinute, gap: int = 1) -> Track:
    first = minute_of(NOW) - gap * (len(minutes) - 1)
    laid = {first + gap * n: minute for n, minute in enumerate(minutes)}
    return Track(probe="p", location="l", service="other", minutes=laid)


def test_a_check_stands_by_its_newest_word_until_one_is_overdue() -> None:
    well, bad = ProbeMinute(ok=1, last_at=NOW), ProbeMinute(failed=1, first_at=NOW, last_at=NOW)
    mixed, silent = ProbeMinute(ok=2, failed=1), ProbeMinute(abstained=1)
    assert probe_state(a_track(), NOW).condition is Condition.UNKNOWN
    assert probe_state(a_track(silent), NOW).condition is Condition.UNKNOWN
    assert probe_state(a_track(bad, well), NOW).condition is Condition.HEALTHY
    assert probe_state(a_track(well, mixed), NOW).condition is Condition.DEGRADED
    failing = probe_state(a_track(well, bad, bad), NOW)
    assert (failing.condition, failing.failing_since) == (Condition.FAILING, NOW)
    late = NOW + timedelta(minutes=6)
    assert probe_state(a_track(well, well), late).stale
    assert not probe_state(a_track(well, well, gap=5), late).stale


async def test_advisories_are_listed_without_posts_and_read_with_them(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str]
) -> None:
    for number in range(5):
        store_advisory(
            world, vendor_id=f"EX{number}", at=NOW - timedelta(hours=number), is_resolved=number > 2
        )
    seen: list[str] = []
    cursor = ""
    while True:
        answer = await client.get(f"/v1/advisories?limit=2{cursor}", headers=admin)
        page = AdvisoryPage.model_validate_json(answer.content)
        seen += [item.id for item in page.items]
        if page.next is None:
            break
        cursor = f"&cursor={page.next}"
    assert seen == ["EX0", "EX1", "EX2", "EX3", "EX4"]
    query = "is_resolved=true&service=exchange-online"
    answer = await client.get(f"/v1/advisories?{query}", headers=admin)
    assert [item["id"] for item in answer.json()["items"]] == ["EX3", "EX4"]
    assert "posts" not in answer.json()["items"][0]
    one = await client.get("/v1/advisories/EX1", headers=admin)
    assert AdvisoryOut.model_validate_json(one.content).posts
    assert one.headers["etag"] == '"r3"'
    theirs = await make_key(world, "admin", tenant=OTHER)
    assert (await client.get("/v1/advisories/EX1", headers=theirs)).status_code == 404


async def test_an_advisory_of_several_tenants_is_listed_for_each(
    client: httpx.AsyncClient, world: Context
) -> None:
    for tenant in (TENANT, OTHER):
        world.db.write_now(
            lambda c, tenant=tenant: advisories.upsert(c, tenant, an_advisory(), None, 1)
        )
    operator = await make_key(world, "admin", tenant="*")
    first = (await client.get("/v1/advisories?limit=1", headers=operator)).json()
    rest = await client.get(f"/v1/advisories?limit=1&cursor={first['next']}", headers=operator)
    assert {i["tenant"] for i in first["items"] + rest.json()["items"]} == {TENANT, OTHER}
    assert rest.json()["next"] is None


async def test_an_incident_shows_its_advisories_with_their_posts(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str]
) -> None:
    linked = LinkedAdvisory(
        id="EX1253275",
        title="t",
        classification="incident",
        status="serviceDegradation",
        condition="degraded",
        published_at=NOW,
        started_at=NOW,
        is_resolved=False,
    )
    world.db.write_now(lambda c: incidents.put(c, [an_incident(advisories=(linked,))]))
    empty = await client.get("/v1/incidents/inc_1/advisories", headers=admin)
    assert empty.json() == {"items": [], "next": None}
    store_advisory(world)
    answer = await client.get("/v1/incidents/inc_1/advisories", headers=admin)
    (item,) = AdvisoryList.model_validate_json(answer.content).items
    assert item.posts[0].text.startswith("We are investigating")


async def test_ready_needs_a_database_of_this_version_that_takes_writes(
    client: httpx.AsyncClient, world: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "FRESH_SECONDS", -1.0)
    behind = await client.get("/readyz")
    assert behind.status_code == 503
    assert behind.headers["content-type"] == "application/problem+json"
    assert behind.json()["fault"] == "migration"

    def upgrade(c: object) -> None:
        c.exec_driver_sql(f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32))")
        c.exec_driver_sql(f"INSERT INTO {VERSION_TABLE} VALUES ('{HEAD}')")

    world.db.write_now(upgrade)
    assert (await client.get("/readyz")).status_code == 200
    assert (await client.get("/livez")).status_code == 200
    world.db.write_now(SQLModel.metadata.tables["instance"].drop)
    gone = await client.get("/readyz")
    assert gone.status_code == 503
    assert gone.json()["fault"] == "database"
    assert (await client.get("/livez")).status_code == 200


def test_the_write_probe_keeps_one_row(database: object) -> None:
    for hours in range(3):
        at = NOW + timedelta(hours=hours)
        database.write_now(lambda c, at=at: write_probe(c, now=at))
    count = database.read_now(
        lambda c: c.exec_driver_sql("SELECT count(*) FROM instance").scalar_one()
    )
    assert count == 1
