"""Replays as jobs: durable, leased, given up after three tries, kept with their results."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from app.core.errors import InvalidInput, NotFound, Overloaded
from app.core.policy import DEFAULT_POLICY
from app.core.types import TenantId
from app.flow import refolds as use_cases
from app.flow.refolds import IDLE, LEASE, MOST_WAITING, TRIES, Refolds
from app.store import refolds, retention
from app.store.engine import Database
from app.store.refolds import FAILED, FINISHED, QUEUED, RUNNING, Refold
from tests.core.play import PROFILE, at
from tests.flow.tale import BEGIN, RENDER, TENANT, Tale, signals

SOON = at("06:08")


@pytest.fixture
def tale(database: Database) -> Tale:
    return Tale(database)


@pytest.fixture
def jobs(tale: Tale) -> Refolds:
    return worker(tale)


def worker(tale: Tale) -> Refolds:
    return Refolds(tale.db, tale.clock, render=RENDER, policy=DEFAULT_POLICY,
                   profile=lambda _: PROFILE)  # fmt: skip


async def ask(jobs: Refolds, **changes: Any) -> Refold:
    return await jobs.ask(TENANT, since=BEGIN, until=SOON, changes=changes, by="anna")


async def test_a_replay_is_run_once_and_kept_with_its_result(tale: Tale, jobs: Refolds) -> None:
    await tale.tell(signals(), until=SOON)
    asked = await ask(jobs)
    assert (asked.state, asked.progress) == (QUEUED, 0.0)
    assert await jobs.step() == timedelta(0)
    done = await jobs.get(TENANT, asked.id)
    assert (done.state, done.progress, done.error) == (FINISHED, 1.0, None)
    assert done.result is not None
    assert done.result["reproduced"] is True
    assert done.result["same"] == 1
    assert await jobs.step() == IDLE


async def test_another_policy_is_kept_as_it_was_asked_for(tale: Tale, jobs: Refolds) -> None:
    await tale.tell(signals(), until=SOON)
    asked = await ask(jobs, quorum_groups=50)
    await jobs.step()
    done = await jobs.get(TENANT, asked.id)
    assert done.policy == {"quorum_groups": 50}
    assert done.result is not None
    assert done.result["reproduced"] is None
    assert len(done.result["missed"] + done.result["later"] + done.result["changed"]) > 0


async def test_what_cannot_be_replayed_ends_with_a_sentence(jobs: Refolds) -> None:
    asked = await jobs.ask(TENANT, since=BEGIN - timedelta(days=2), until=BEGIN, changes={},
                           by="anna")  # fmt: skip
    await jobs.step()
    done = await jobs.get(TENANT, asked.id)
    assert done.state == FAILED
    assert "no longer kept" in (done.error or "")


async def test_a_worker_that_died_is_followed_by_another(tale: Tale, jobs: Refolds) -> None:
    await tale.tell(signals(), until=SOON)
    asked = await ask(jobs)
    now = tale.clock.now()
    tale.db.write_now(lambda c: refolds.claim(c, token="dead", now=now, until=now + LEASE))
    assert await jobs.step() == IDLE  # its lease still runs
    tale.clock.at += LEASE
    await jobs.step()
    assert (await jobs.get(TENANT, asked.id)).state == FINISHED
    late = tale.db.write_now(
        lambda c: refolds.finish(c, asked.id, token="dead", now=now, error="too late")
    )
    assert not late


async def test_a_replay_that_never_ends_is_given_up(tale: Tale, jobs: Refolds) -> None:
    tale.clock.at = SOON
    asked = await ask(jobs)
    for _ in range(TRIES):
        now = tale.clock.now()
        tale.db.write_now(lambda c, t=now: refolds.claim(c, token="d", now=t, until=t + LEASE))
        tale.clock.at += LEASE
    await jobs.step()
    done = await jobs.get(TENANT, asked.id)
    assert (done.state, done.error) == (FAILED, use_cases.GIVEN_UP)


async def test_a_lease_that_was_lost_ends_the_work(
    tale: Tale, jobs: Refolds, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tale.tell(signals(), until=SOON)
    asked = await ask(jobs)
    monkeypatch.setattr(refolds, "keep", lambda *_, **__: False)
    assert await jobs.step() == IDLE
    assert (await jobs.get(TENANT, asked.id)).state == RUNNING


async def test_a_window_must_lie_in_the_past_and_be_of_a_year(tale: Tale, jobs: Refolds) -> None:
    for since, until in (
        (SOON, SOON),
        (tale.clock.now() + timedelta(hours=1), tale.clock.now() + timedelta(hours=2)),
        (BEGIN - timedelta(days=400), BEGIN),
    ):
        with pytest.raises(InvalidInput):
            await jobs.ask(TENANT, since=since, until=until, changes={}, by="anna")
    with pytest.raises(InvalidInput):
        await jobs.ask(TENANT, since=BEGIN - timedelta(hours=1), until=SOON,
                       changes={"no_such": 1}, by="anna")  # fmt: skip


async def test_only_so_many_wait(jobs: Refolds, tale: Tale) -> None:
    tale.clock.at = SOON
    for _ in range(MOST_WAITING):
        await ask(jobs)
    with pytest.raises(Overloaded):
        await ask(jobs)


async def test_replays_are_listed_by_tenant_newest_first(tale: Tale, jobs: Refolds) -> None:
    tale.clock.at = SOON
    first = await ask(jobs)
    tale.clock.at += timedelta(seconds=1)
    second = await ask(jobs)

    def page(tenant: TenantId | None, after: Any = None) -> Iterator[str]:
        found = tale.db.read_now(lambda c: refolds.page(c, tenant, after, 10))
        return (one.id for one in found)

    assert list(page(TENANT)) == [second.id, first.id]
    assert list(page(TENANT, (second.created_at, second.id))) == [first.id]
    assert list(page(TenantId("fabrikam"))) == []
    with pytest.raises(NotFound):
        await jobs.get(TenantId("fabrikam"), first.id)
    await jobs.step()
    end = SOON + timedelta(days=1)
    assert (
        tale.db.write_now(lambda c: retention.forget(c, retention.old_replays(end))) == 1
    )  # the finished one
