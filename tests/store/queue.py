"""A queue of deliveries to try things on: events emitted, claimed and finished."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert

from app.core.events import EventType
from app.core.retry import Why
from app.core.route import Facts, PlannedEvent
from app.core.types import Severity, TenantId
from app.store import claims, deliveries, subscriptions
from app.store.claims import Claimed, Recorded
from app.store.deliveries import Attempt
from app.store.engine import Database
from app.store.tables import EventRow
from tests.builders import NOW, TENANT
from tests.core.test_route import a_subscription

EVENTS = EventRow.__table__
LEASE = timedelta(seconds=40)


def event(number: int, type_: EventType = EventType.OPENED, **more: Any) -> PlannedEvent:
    values: dict[str, Any] = {
        "id": f"evt_{number:06d}", "type": type_, "sequence": number, "incident": "inc_1",
        "facts": Facts(services=("exchange-online",), severity=Severity.MAJOR),
    }  # fmt: skip
    return PlannedEvent(**{**values, **more})


def document(identity: str) -> bytes:
    return b'{"id":"%s"}' % identity.encode()


def emit(
    database: Database, *events: PlannedEvent, tenant: TenantId = TENANT, now: datetime = NOW
) -> int:
    def work(c: Any) -> int:
        c.execute(
            insert(EVENTS),
            [
                {
                    "tenant": tenant, "sequence": e.sequence, "id": e.id, "type": e.type.value,
                    "incident": e.incident, "occurred_at": now, "body": document(e.id),
                }
                for e in events
            ],
        )  # fmt: skip
        return deliveries.plan(c, tenant, events, now)

    return database.write_now(work)


def subscribe(database: Database, *names: str, **changes: Any) -> None:
    for name in names:
        made = a_subscription(id=name, **changes)
        database.write_now(lambda c, made=made: subscriptions.add(c, made))


def claim(
    database: Database,
    *,
    now: datetime = NOW,
    token: str = "t1",
    limit: int = 100,
    share: int = 8,
    busy: Sequence[str] = (),
    after: str = "",
) -> list[Claimed]:
    def room(name: str) -> int:
        return 0 if name in busy else share

    return database.write_now(
        lambda c: claims.claim(
            c, token=token, now=now, until=now + LEASE, limit=limit, room=room, after=after
        )
    )


def finish(
    database: Database,
    claimed: Sequence[Claimed],
    *,
    state: str = "delivered",
    now: datetime = NOW,
    due: datetime | None = None,
) -> set[str]:
    attempt = Attempt(at=now, status=200, outcome="delivered", duration_ms=1.0, excerpt="ok")
    results = [
        Recorded(claimed=c, attempt=attempt, state=state, reason=Why.ACCEPTED, due_at=due or now)
        for c in claimed
    ]
    return database.write_now(lambda c: claims.record(c, results, now=now))


def names(claimed: Sequence[Claimed]) -> list[tuple[str, str]]:
    return sorted((c.delivery.subscription, c.delivery.event) for c in claimed)
