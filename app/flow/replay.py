"""Replay: the stored intake of a window folded again, exactly as it was or under another policy.

The journal of the fold says at which instants which rows were folded. Under the policy that was in
force then, the same steps give the same events, byte for byte. Under another one, looks are added
in between, because it may want to speak where the former had nothing to say. Nothing is written but
the job itself: a replay never touches incidents, events or deliveries.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from app.core.document import rfc3339
from app.core.errors import InvalidInput, NotFound
from app.core.incident import Incident
from app.core.pace import LIVELY, TICK, is_bad
from app.core.policy import Policy
from app.core.ports import Render
from app.core.state import TenantProfile
from app.core.types import TenantId
from app.flow import differ
from app.flow.differ import Difference
from app.flow.offline import Offline
from app.store import events, incidents, journal
from app.store.engine import Database
from app.store.incidents import Filters
from app.store.journal import Mark, Step

PAGE = 100  # steps read at once
INCIDENTS = 10_000  # most incidents of a window that are compared

Progress = Callable[[float], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What came of a replay.

    ``reproduced`` says whether the events are those that were stored, byte for byte; None where
    another policy was asked for or in force. ``began_at`` is where the fold began, None at the
    very start. ``passed`` counts commands that did not fit any more.
    """

    found: Difference
    incidents: tuple[Incident, ...]
    began_at: datetime | None
    steps: int
    signals: int
    passed: int
    same_policy: bool
    reproduced: bool | None
    notes: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "same_policy": self.same_policy,
            "reproduced": self.reproduced,
            "folded_from": rfc3339(self.began_at),
            "steps": self.steps,
            "signals": self.signals,
            "commands_passed_over": self.passed,
            "notes": list(self.notes),
            **differ.document(self.found),
        }


def policy_with(base: Policy, changes: Mapping[str, Any]) -> Policy:
    """A policy with some thresholds changed.

    Raises:
        InvalidInput: a key is unknown, or its value is no number of its kind.
    """
    kinds = {one.name: type(getattr(base, one.name)) for one in fields(Policy)}
    errors = []
    for name, value in changes.items():
        kind = kinds.get(name)
        wrong = isinstance(value, bool) or not isinstance(value, int | float)
        if kind is None:
            errors.append({"pointer": f"/policy/{name}", "detail": "There is no such threshold."})
        elif wrong or (kind is int and value != int(value)) or not 0 <= value <= 1e12:  # noqa: PLR2004
            detail = f"Give a {'whole ' if kind is int else ''}number, not negative."
            errors.append({"pointer": f"/policy/{name}", "detail": detail})
    if errors:
        said = "; ".join(
            f"{one['pointer'].removeprefix('/policy/')}: {one['detail']}" for one in errors
        )
        raise InvalidInput(said, errors=errors)
    return replace(base, **{name: kinds[name](value) for name, value in changes.items()})


@dataclass(slots=True)
class _Run:
    """The fold of one replay while it goes on."""

    world: Offline
    digest: str
    render: Render
    signals: int = 0
    steps: int = 0
    other: bool = False
    lively: datetime | None = None
    last: datetime | None = None
    told: list[bytes] = field(default_factory=list)

    def fold(self, page: list[Step]) -> None:
        """Fold the steps of a page; under another policy with looks in between."""
        for step in page:
            same = step.policy == self.digest
            self.other = self.other or not same
            if not same:
                self._look(step.folded_at)
            self.world.fold(step.folded_at, step.signals, waiting_since=step.waiting_since)
            self.steps += 1
            self.signals += len(step.signals)
            self.last = step.folded_at
            if any(is_bad(signal) for signal in step.signals):
                self.lively = step.folded_at + LIVELY
        self.told += [self.render(event) for event in self.world.events]
        self.world.events.clear()

    def _look(self, until: datetime) -> None:
        if self.last is None or self.lively is None:
            return
        now = self.last + TICK
        while now < min(until, self.lively):
            self.world.fold(now, ())
            now += TICK


async def fold_again(
    db: Database,
    profile: TenantProfile,
    *,
    since: datetime,
    until: datetime,
    policy: Policy,
    render: Render,
    progress: Progress | None = None,
) -> Replayed:
    """Fold the stored intake of a tenant again, and say what differs from what is stored.

    Args:
        db: the database; it is only read.
        profile: the tenant as it is known now.
        since: incidents that ended before are not compared.
        until: the fold ends here.
        policy: thresholds to fold under.
        render: makes the bytes of an event, to compare them.
        progress: told the part that is done, 0 to 1; may be awaited.

    Raises:
        NotFound: the intake of the window is no longer kept, or was never folded.
        StorageUnavailable: the database cannot be reached.
    """
    tenant = profile.id
    start, total = await db.read(lambda c: _start(c, tenant, since, until))
    world = Offline(
        profile=profile,
        policy=policy,
        state=start.state,
        incidents={one.id: one for one in start.incidents},
        sequence=start.sequence,
        number=start.number,
    )
    run = _Run(world=world, digest=policy.digest, render=render)
    place = (start.revision, start.tx, start.seq)
    while True:
        page, place = await db.read(
            lambda c, at=place: journal.steps(c, tenant, at, until, PAGE)  # type: ignore[misc]
        )
        if not page:
            break
        await asyncio.to_thread(run.fold, page)
        if progress is not None:
            await progress(min(run.steps / total, 1.0))
    stored = await db.read(lambda c: _stored(c, tenant, since, until))
    same = not run.other
    reproduced = None
    if same:
        reproduced = await db.read(
            lambda c: _is_reproduced(c, tenant, start.sequence, until, run.told)
        )
    mine = [i for i in world.incidents.values() if _touches(i, since, until)]
    return Replayed(
        found=differ.difference(stored, mine, until=until),
        incidents=tuple(sorted(mine, key=lambda i: (i.opened_at, i.id))),
        began_at=start.taken_at,
        steps=run.steps,
        signals=run.signals,
        passed=world.passed,
        same_policy=same,
        reproduced=reproduced,
        notes=tuple(_notes(start, since, same=same, reproduced=reproduced, passed=world.passed)),
    )


def _start(c: Connection, tenant: TenantId, since: datetime, until: datetime) -> tuple[Mark, int]:
    start = journal.start(c, tenant, since)
    if start is None:
        raise NotFound("Nothing was folded yet, or its intake is no longer kept.")
    total = journal.count(c, tenant, start.revision, until)
    if not total:
        raise NotFound(
            "No step of the fold lies in that window: it is older than the intake that is kept "
            "([retention] intake_days), or nothing ran then."
        )
    return start, total


def _touches(incident: Incident, since: datetime, until: datetime) -> bool:
    ended = incident.resolved_at or incident.closed_at
    return incident.opened_at <= until and (ended is None or ended >= since)


def _stored(c: Connection, tenant: TenantId, since: datetime, until: datetime) -> list[Incident]:
    page = incidents.page(c, tenant, Filters(until=until + timedelta(microseconds=1)), None,
                          INCIDENTS)  # fmt: skip
    return [one for one in page if _touches(one, since, until)]


def _is_reproduced(
    c: Connection, tenant: TenantId, after: int, until: datetime, told: list[bytes]
) -> bool:
    """Whether the events that were stored are those that were told now, in order."""
    count = 0
    while page := events.after(c, tenant, after, 500):
        for stored in page:
            if stored.occurred_at > until:
                return count == len(told)
            if count >= len(told) or stored.body != told[count]:
                return False
            count += 1
        after = page[-1].sequence
    return count == len(told)


def _notes(
    start: Mark, since: datetime, *, same: bool, reproduced: bool | None, passed: int
) -> list[str]:
    """What the reader must know of the limits of this replay."""
    notes = []
    if start.taken_at is not None and start.taken_at > since:
        notes.append(
            f"Intake before {rfc3339(start.taken_at)} is no longer kept; what was told "
            "before then is taken as it was."
        )
    if reproduced is False:
        notes.append(
            "The events differ although the policy is the same: the engine, the tenant's settings "
            "or the public address have changed since, or events of the window are no longer kept."
        )
    if not same:
        notes.append(
            "Looks of ten seconds were added where the stored fold had nothing to say; times are "
            "exact to that."
        )
    if passed:
        notes.append(f"{passed} commands of persons did not fit the incidents of this policy.")
    return notes
