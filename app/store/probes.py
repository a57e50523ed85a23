"""The newest result of each check at each location; a check that fell silent is unknown."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from app.core.signal import ProbeResult
from app.core.types import Client, Condition, Outcome, SelfCheck, Symptom, TenantId
from app.store.tables import ProbeRow

T = ProbeRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it

DEFAULT_INTERVAL_SECONDS = 60.0  # of a check that somebody else runs and that did not say
SILENT_AFTER = 3  # intervals without a result
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

    @property
    def condition(self) -> Condition:
        """What it says of its service; a result from an unsound location says nothing."""
        if self.self_check is SelfCheck.FAILED:
            return Condition.UNKNOWN
        return _CONDITIONS[self.outcome]


def record(
    c: Connection,
    tenant: TenantId,
    results: Sequence[ProbeResult],
    *,
    intervals: Mapping[tuple[str, str], float] | None = None,
) -> None:
    """Keep the newest result of each check; one that arrives late changes nothing.

    Args:
        c: The unit of work.
        tenant: Whose results they are.
        results: In any order.
        intervals: (probe, location) → seconds between two runs, as far as they are known.
    """
    newest: dict[tuple[str, str], ProbeResult] = {}
    for result in sorted(results, key=lambda r: (r.occurred_at, r.id)):
        newest[(result.probe, result.location)] = result
    rows = [
        {
            "tenant": tenant,
            "probe": probe,
            "location": location,
            "service": result.service,
            "occurred_at": result.occurred_at,
            "body": _body(result, (intervals or {}).get((probe, location))),
        }
        for (probe, location), result in sorted(newest.items())  # one order: no deadlock
    ]
    if not rows:
        return
    insert = (sqlite.insert if c.dialect.name == "sqlite" else postgresql.insert)(T)
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


def forget(c: Connection, *, before: datetime) -> int:
    """Delete checks that have been silent since before an instant; returns how many."""
    return c.execute(delete(T).where(T.c.occurred_at < before)).rowcount


def _body(result: ProbeResult, interval_seconds: float | None) -> str:
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
            "interval_seconds": interval_seconds or DEFAULT_INTERVAL_SECONDS,
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
    )
