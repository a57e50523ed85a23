"""The newest result of each check is kept, and silence is unknown."""

from dataclasses import replace
from datetime import timedelta

from app.core.signal import ProbeResult
from app.core.standing import Standing
from app.core.types import Condition, Outcome, SelfCheck, Symptom, TenantId
from app.store import probes, retention
from app.store.engine import Database
from app.store.probes import Remembered
from tests.builders import NOW, TENANT, a_probe_result, minutes


async def kept(database: Database, *results: object, now=NOW, **changes) -> list:
    await database.write(lambda c: probes.record(c, TENANT, results, **changes))
    return await database.read(lambda c: probes.listing(c, TENANT, now=now))


async def test_the_newest_result_is_kept_whatever_the_order(database: Database) -> None:
    newest = a_probe_result(at=NOW, outcome=Outcome.OK, phases={"dns_ms": 1.5})
    older = a_probe_result(at=NOW - minutes(1))
    (first,) = await kept(database, newest, older)
    (second,) = await kept(database, older)
    assert first == second
    assert (first.outcome, first.symptom, first.http_status) == (Outcome.OK, None, 200)
    assert (first.phases, first.occurred_at) == ({"dns_ms": 1.5}, NOW)
    (third,) = await kept(database, a_probe_result(at=NOW + minutes(1)))
    assert (third.outcome, third.symptom) == (Outcome.FAILED, Symptom.HTTP_5XX)


async def test_checks_and_places_and_tenants_are_apart(database: Database) -> None:
    await database.write(
        lambda c: probes.record(c, TenantId("fabrikam"), [a_probe_result(location="lyon")])
    )
    listed = await kept(
        database, a_probe_result(location="paris"), a_probe_result(), a_probe_result(probe="a")
    )
    assert [(r.probe, r.location) for r in listed] == [
        ("a", "berlin"),
        ("owa-front-door", "berlin"),
        ("owa-front-door", "paris"),
    ]
    everything = await database.read(lambda c: probes.listing(c, None, now=NOW))
    assert [r.tenant for r in everything] == [*[TENANT] * 3, TenantId("fabrikam")]


async def test_a_check_that_fell_silent_is_unknown(database: Database) -> None:
    result = a_probe_result(outcome=Outcome.OK)
    (still,) = await kept(database, result, now=NOW + minutes(3))
    assert (still.outcome, still.silent, still.condition) == (Outcome.OK, False, Condition.HEALTHY)
    (silent,) = await kept(database, result, now=NOW + minutes(3) + timedelta(seconds=1))
    assert (silent.outcome, silent.silent) == (Outcome.UNKNOWN, True)
    assert silent.condition is Condition.UNKNOWN


async def test_silence_is_measured_by_the_interval_of_the_check(database: Database) -> None:
    intervals = {("owa-front-door", "berlin"): 300.0}
    (result,) = await kept(database, a_probe_result(), now=NOW + minutes(14), intervals=intervals)
    assert (result.silent, result.interval_seconds) == (False, 300.0)


async def test_a_result_from_an_unsound_place_says_nothing(database: Database) -> None:
    (result,) = await kept(database, a_probe_result(self_check=SelfCheck.FAILED))
    assert (result.outcome, result.condition) == (Outcome.FAILED, Condition.UNKNOWN)


async def test_nothing_to_keep_is_well(database: Database) -> None:
    assert await kept(database) == []


async def test_checks_that_are_gone_are_forgotten(database: Database) -> None:
    await kept(database, a_probe_result(), a_probe_result(probe="old", at=NOW - minutes(60)))
    gone = await database.write(
        lambda c: retention.forget(c, retention.old_probes(NOW - minutes(30)))
    )
    (left,) = await kept(database)
    assert (gone, left.probe) == (1, "owa-front-door")


async def test_the_course_of_a_check_goes_on_over_batches_and_late_ones_change_nothing(
    database: Database,
) -> None:
    good = a_probe_result(outcome=Outcome.OK, at=NOW - minutes(9))
    await kept(database, good)
    await kept(database, *(a_probe_result(at=NOW - minutes(n)) for n in (4, 3)))
    (down,) = await kept(database, a_probe_result(at=NOW - minutes(2)))
    assert (down.standing, down.course.since) == (Standing.DOWN, NOW - minutes(2))
    (late,) = await kept(database, good, a_probe_result(outcome=Outcome.OK, at=NOW - minutes(3)))
    assert late == down
    fault = a_probe_result(at=NOW - minutes(1), self_check=SelfCheck.FAILED)
    (silent,) = await kept(database, fault)
    assert (silent.standing, silent.course) == (None, down.course)


async def test_a_check_is_told_whether_it_was_ever_well_and_what_was_learned(
    database: Database,
) -> None:
    key = ("owa-front-door", "berlin")

    async def told(*results: ProbeResult) -> Remembered:
        return (await database.write(lambda c: probes.record(c, TENANT, results)))[key]

    assert (await told(a_probe_result(at=NOW - minutes(2000)))).reached is False
    fault = a_probe_result(
        at=NOW - minutes(1999), outcome=Outcome.OK, self_check=SelfCheck.FAILED,
        answer={"status": "302"},
    )  # fmt: skip
    assert (await told(fault)).reached is False
    results = [
        a_probe_result(at=NOW - minutes(60 * n), outcome=Outcome.OK, answer={"status": "302"})
        for n in range(30, 0, -1)
    ]
    remembered = await told(*results)
    assert remembered == Remembered(reached=True, learned={"status": ("302",)})
    known = await database.read(lambda c: probes.remembered(c, TENANT))
    assert known == {key: remembered}
    gone = await database.write(lambda c: probes.relearn(c, TENANT, key[0], None))
    known = await database.read(lambda c: probes.remembered(c, TENANT))
    assert (gone, known) == (1, {key: Remembered(reached=True)})


async def test_how_often_a_foreign_check_runs_is_seen_from_its_results(
    database: Database,
) -> None:
    first = NOW - minutes(60)
    await kept(database, *(a_probe_result(at=first + minutes(5 * n)) for n in range(13)))
    (result,) = await kept(database, now=NOW + minutes(14))
    assert (result.interval_seconds, result.silent) == (300.0, False)
    (result,) = await kept(database, now=NOW + minutes(16))
    assert result.silent is True


async def test_many_checks_are_recorded_at_once(database: Database) -> None:
    results = [a_probe_result(probe=f"check-{n}") for n in range(450)]
    listed = await kept(database, *results)
    again = await kept(database, *(replace(r, occurred_at=NOW + minutes(1)) for r in results))
    assert len(listed) == len(again) == 450
    assert {found.course.failures for found in again} == {2}


async def test_how_long_answers_usually_take_is_learned_and_kept(database: Database) -> None:
    start = NOW - timedelta(hours=14)
    results = [
        a_probe_result(at=start + minutes(n * 10), outcome=Outcome.OK, latency_ms=100.0 + n % 3)
        for n in range(80)
    ]
    failed = a_probe_result(at=start - minutes(1), latency_ms=15_000.0)
    (early,) = await kept(database, failed, *results[:10])
    assert early.usual_ms is None
    (learned,) = await kept(database, *results[10:])
    assert learned.usual_ms == 101.0
    known = await database.read(lambda c: probes.remembered(c, TENANT))
    assert [one.usual_ms for one in known.values()] == [101.0]
