"""How each check stands at each location: its newest result, its course, its healthy signature.

A check that fell silent is unknown.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, select, tuple_, update

from app.core.signal import ProbeResult
from app.core.signature import Signature, learn
from app.core.standing import Course, Standing, follow
from app.core.tempo import Tempo
from app.core.tempo import learn as time_it
from app.core.types import Client, Condition, Outcome, SelfCheck, Symptom, TenantId
from app.store.tables import ProbeRow
from app.store.upserts import insert_into

T = ProbeRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it

DEFAULT_INTERVAL_SECONDS = 60.0  # of a check that somebody else runs and that did not say
SILENT_AFTER = 3  # intervals without a result
GAPS_KEPT = 5
KEYS_AT_ONCE = 200  # checks that one query asks for; SQLite bounds its parameters
_CONDITIONS = {
    Outcome.OK: Condition.HEALTHY,
    Outcome.DEGRADED: Condition.DEGRADED,
    Outcome.FAILED: Condition.FAILING,
    Outcome.UNKNOWN: Condition.UNKNOWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewestResult:
    """How one check at one location stands. ``outcome`` is unknown when it fell silent."""

    tenant: TenantId
    probe: str
    location: str
    service: str
    feature: str | None
    client: Client | None
    region: str | None
    outcome: Outcome
    symptom: Symptom | None
    http_status: int | None
    error: str | None
    latency_ms: float | None
    phases: dict[str, float]
    self_check: SelfCheck
    occurred_at: datetime
    interval_seconds: float
    silent: bool
    diagnostics: dict[str, str]
    course: Course
    signature: Signature
    usual_ms: float | None = None

    @property
    def standing(self) -> Standing | None:
        """Where it stands; None where it has no say: silent, unsound, or in maintenance."""
        if self.silent or self.self_check is SelfCheck.FAILED:
            return None
        return self.course.standing

    @property
    def condition(self) -> Condition:
        """What it says of its service; a result from an unsound location says nothing."""
        if self.self_check is SelfCheck.FAILED:
            return Condition.UNKNOWN
        return _CONDITIONS[self.outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What a check is told of its past: whether it was ever well, and what was learned of it.

    ``usual_ms`` is how long its answers usually take at this hour.
    """

    reached: bool = False
    learned: Mapping[str, tuple[str, ...]] | None = None
    usual_ms: float | None = None


@dataclass(slots=True)
class _Past:
    """What is kept of a check beside its newest result."""

    occurred_at: datetime | None = None
    reached: bool = False
    course: Course = Course()  # noqa: RUF009 - frozen
    signature: Signature = Signature()  # noqa: RUF009 - frozen
    gaps: list[float] = field(default_factory=list)  # seconds between the newest results
    tempo: Tempo = Tempo()  # noqa: RUF009 - frozen

    @property
    def told(self) -> Remembered:
        """What the check is told of it."""
        at = self.occurred_at
        return Remembered(
            reached=self.reached,
            learned=self.signature.learned,
            usual_ms=None if at is None else self.tempo.usual_ms(at),
        )

    @property
    def usual_gap(self) -> float | None:
        """How often it runs, seen from its results, for checks that somebody else schedules."""
        return max(DEFAULT_INTERVAL_SECONDS, median(self.gaps)) if self.gaps else None

    def take(self, result: ProbeResult) -> None:
        """Go on with a result that is newer than all before."""
        if self.occurred_at is not None:
            gap = (result.occurred_at - self.occurred_at).total_seconds()
            self.gaps = [*self.gaps[1 - GAPS_KEPT :], gap]
        self.occurred_at = result.occurred_at
        if result.self_check is SelfCheck.FAILED:
            return
        at, good = result.occurred_at, result.outcome in (Outcome.OK, Outcome.DEGRADED)
        if result.outcome is not Outcome.UNKNOWN:
            self.course = follow(self.course, good=good, at=at)
        self.reached = self.reached or good
        if result.answer and result.outcome is not Outcome.FAILED:
            self.signature = learn(self.signature, result.answer, at)
        if good and result.latency_ms is not None:
            self.tempo = time_it(self.tempo, result.latency_ms, at)


def record(
    c: Connection,
    tenant: TenantId,
    results: Sequence[ProbeResult],
    *,
    intervals: Mapping[tuple[str, str], float] | None = None,
) -> dict[tuple[str, str], Remembered]:
    """Go on with the results of each check; one that arrives late changes nothing.

    Args:
        c: The unit of work.
        tenant: Whose results they are.
        results: In any order.
        intervals: (probe, location) → seconds between two runs, as far as they are known.

    Returns:
        (probe, location) → what is known of that check now.
    """
    keys = sorted({(result.probe, result.location) for result in results})
    past = {key: _Past() for key in keys} | _past(c, tenant, keys)
    newest: dict[tuple[str, str], ProbeResult] = {}
    for result in sorted(results, key=lambda r: (r.occurred_at, r.id)):
        key = (result.probe, result.location)
        before = past[key].occurred_at
        if before is None or result.occurred_at > before:
            past[key].take(result)
            newest[key] = result
    _keep(c, tenant, newest, past, intervals or {})
    return {key: known.told for key, known in past.items()}


def remembered(c: Connection, tenant: TenantId) -> dict[tuple[str, str], Remembered]:
    """What is known of every check, for a runner that starts."""
    rows = c.execute(select(T).where(T.c.tenant == tenant)).mappings()
    found = {(row["probe"], row["location"]): _past_of(row) for row in rows}
    return {key: known.told for key, known in found.items()}


def tempos(c: Connection, tenant: TenantId) -> dict[tuple[str, str], Tempo]:
    """How long the answers of each check usually take: (probe, location) → what was learned."""
    rows = c.execute(select(T.c.probe, T.c.location, T.c.body).where(T.c.tenant == tenant))
    return {(row.probe, row.location): _tempo(json.loads(row.body)) for row in rows}


def relearn(c: Connection, tenant: TenantId, probe: str, location: str | None) -> int:
    """Forget the signature of a check, at one location or all; returns how many were forgotten."""
    chosen = select(T).where(T.c.tenant == tenant, T.c.probe == probe)
    if location is not None:
        chosen = chosen.where(T.c.location == location)
    rows = c.execute(chosen.with_for_update()).mappings().all()
    for row in rows:
        body = json.loads(row["body"]) | {"signature": _plain(Signature())}
        c.execute(
            update(T)
            .where(T.c.tenant == tenant, T.c.probe == row["probe"], T.c.location == row["location"])
            .values(body=json.dumps(body, ensure_ascii=False))
        )
    return len(rows)


def _keep(
    c: Connection,
    tenant: TenantId,
    newest: Mapping[tuple[str, str], ProbeResult],
    past: Mapping[tuple[str, str], _Past],
    intervals: Mapping[tuple[str, str], float],
) -> None:
    rows = [
        {
            "tenant": tenant,
            "probe": probe,
            "location": location,
            "service": result.service,
            "occurred_at": result.occurred_at,
            "body": _body(result, past[(probe, location)], intervals.get((probe, location))),
        }
        for (probe, location), result in sorted(newest.items())  # one order: no deadlock
    ]
    if not rows:
        return
    insert = insert_into(c, T)
    statement = insert.on_conflict_do_update(
        index_elements=[T.c.tenant, T.c.probe, T.c.location],
        set_={name: insert.excluded[name] for name in ("service", "occurred_at", "body")},
        where=insert.excluded.occurred_at >= T.c.occurred_at,
    )
    c.execute(statement, rows)


def listing(c: Connection, tenant: TenantId | None, *, now: datetime) -> list[NewestResult]:
    """List how all checks stand, by probe and location; without a tenant: of all tenants."""
    statement = select(T).order_by(T.c.tenant, T.c.probe, T.c.location)
    if tenant is not None:
        statement = statement.where(T.c.tenant == tenant)
    return [_standing(row, now) for row in c.execute(statement).mappings()]


def _past(
    c: Connection, tenant: TenantId, keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], _Past]:
    found = {}
    for start in range(0, len(keys), KEYS_AT_ONCE):
        some = keys[start : start + KEYS_AT_ONCE]
        query = select(T).where(T.c.tenant == tenant, tuple_(T.c.probe, T.c.location).in_(some))
        for row in c.execute(query).mappings():
            found[(row["probe"], row["location"])] = _past_of(row)
    return found


def _past_of(row: RowMapping) -> _Past:
    body: dict[str, Any] = json.loads(row["body"])
    return _Past(
        occurred_at=row["occurred_at"],
        reached=body.get("reached", False),
        course=_course(body),
        signature=_signature(body),
        gaps=body.get("gaps", []),
        tempo=_tempo(body),
    )


def _course(body: Mapping[str, Any]) -> Course:
    return msgspec.convert(body.get("course") or {}, Course)


def _signature(body: Mapping[str, Any]) -> Signature:
    return msgspec.convert(body.get("signature") or {}, Signature)


def _tempo(body: Mapping[str, Any]) -> Tempo:
    return msgspec.convert(body.get("tempo") or {}, Tempo, strict=False)  # JSON's keys are text


def _plain(kept: Course | Signature | Tempo) -> Any:
    return msgspec.to_builtins(kept, str_keys=True)


def _body(result: ProbeResult, past: _Past, interval_seconds: float | None) -> str:
    return json.dumps(
        {
            "outcome": result.outcome,
            "symptom": result.symptom,
            "http_status": result.http_status,
            "error": result.error,
            "latency_ms": result.latency_ms,
            "phases": result.phases or {},
            "self_check": result.self_check,
            "occurred_at": result.occurred_at.isoformat(),
            "feature": result.feature,
            "client": result.client,
            "region": result.region,
            "interval_seconds": interval_seconds or past.usual_gap or DEFAULT_INTERVAL_SECONDS,
            "gaps": [round(gap, 3) for gap in past.gaps],
            "diagnostics": result.diagnostics or {},
            "reached": past.reached,
            "course": _plain(past.course),
            "signature": _plain(past.signature),
            "tempo": _plain(past.tempo),
        },
        ensure_ascii=False,
    )


def _standing(row: RowMapping, now: datetime) -> NewestResult:
    body: dict[str, Any] = json.loads(row["body"])
    interval = timedelta(seconds=body["interval_seconds"])
    silent = now - row["occurred_at"] > SILENT_AFTER * interval
    return NewestResult(
        tenant=TenantId(row["tenant"]),
        probe=row["probe"],
        location=row["location"],
        service=row["service"],
        feature=body["feature"],
        client=Client(body["client"]) if body["client"] else None,
        region=body["region"],
        outcome=Outcome.UNKNOWN if silent else Outcome(body["outcome"]),
        symptom=Symptom(body["symptom"]) if body["symptom"] else None,
        http_status=body["http_status"],
        error=body["error"],
        latency_ms=body["latency_ms"],
        phases=body["phases"],
        self_check=SelfCheck(body["self_check"]),
        occurred_at=row["occurred_at"],
        interval_seconds=body["interval_seconds"],
        silent=silent,
        diagnostics=body.get("diagnostics") or {},
        course=_course(body),
        signature=_signature(body),
        usual_ms=_tempo(body).usual_ms(row["occurred_at"]),
    )
