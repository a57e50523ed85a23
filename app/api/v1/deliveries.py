"""Deliveries: one event for one subscription, with every attempt and what it met."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Depends, Path, Query, Response, status
from sqlalchemy import Connection

from app.api.asked import Asked, json_answer
from app.api.deps import Context, Principal, problems, reach, require, resource
from app.api.paging import Cursor, Limit, Pager
from app.api.v1.schemas import Out
from app.core.errors import NotFound
from app.core.retry import Why
from app.store import deliveries
from app.store.deliveries import PENDING, Attempt, Delivery

router = resource("deliveries")

State = Literal["pending", "delivered", "parked"]
Identity = Annotated[str, Path(max_length=64)]
Wanted = Annotated[str | None, Query(max_length=64)]
SubscriptionsWriter = Annotated[Principal, Depends(require("subscriptions:write"))]


class PhasesOut(Out):
    """Milliseconds of an attempt's parts; null where it did not come so far, or was spared.

    A kept connection spares the first three.
    """

    dns_ms: float | None
    connect_ms: float | None
    tls_ms: float | None
    first_byte_ms: float | None
    body_ms: float | None


class AttemptOut(Out):
    """One try; ``status`` is null when no answer came."""

    at: datetime
    status: int | None
    outcome: Literal[
        "delivered",
        "refused",
        "gone",
        "timeout",
        "connection_failed",
        "tls_failure",
        "dns_failure",
        "blocked",
        "unknown",
    ]
    duration_ms: float
    phases: PhasesOut
    request_headers: dict[str, str]
    excerpt: str


class DeliveryOut(Out):
    """One event for one subscription; ``superseded`` are event ids that it stands for."""

    id: str
    tenant: str
    subscription: str
    event: str
    event_type: str
    incident: str | None
    state: State
    reason: Why
    created_at: datetime
    next_attempt_at: datetime | None
    done_at: datetime | None
    superseded: list[str]
    superseded_by: str | None
    replay: str | None
    attempts: list[AttemptOut]


class DeliveryPage(Out):
    """One page of deliveries, newest first."""

    items: list[DeliveryOut]
    next: str | None


@router.get("/deliveries")
async def list_deliveries(
    *,
    app: Context,
    caller: SubscriptionsWriter,
    limit: Limit,
    subscription: Wanted = None,
    state: State | None = None,
    incident: Wanted = None,
    cursor: Cursor = None,
) -> DeliveryPage:
    """List deliveries, newest first; `state=parked` shows what was given up."""
    filters = {"subscription": subscription, "state": state, "incident": incident}
    pager = Pager(app.secret, "deliveries", tenant=caller.tenant, filters=filters)
    position = pager.read(cursor)
    after = None if position is None else (datetime.fromisoformat(position[0]), position[1])

    def unit(c: Connection) -> tuple[list[Delivery], dict[str, list[Attempt]]]:
        rows = deliveries.page(
            c,
            reach(caller),
            subscription=subscription,
            state=state,
            incident=incident,
            after=after,
            limit=limit + 1,
        )
        return rows, deliveries.attempts(c, [row.id for row in rows])

    rows, tries = await app.db.read(unit)
    items, following = pager.page(rows, limit, lambda one: [one.created_at.isoformat(), one.id])
    shown = [delivery_out(one, tries.get(one.id, [])) for one in items]
    return DeliveryPage(items=shown, next=following)


@router.get("/deliveries/{delivery_id}", responses=problems(404))
async def read_delivery(
    delivery_id: Identity, app: Context, caller: SubscriptionsWriter
) -> DeliveryOut:
    """Read a delivery with its attempts, oldest first."""
    found = await app.db.read(lambda c: deliveries.get(c, reach(caller), delivery_id))
    if found is None:
        raise NotFound
    return delivery_out(*found)


@router.post(
    "/deliveries/{delivery_id}/redeliver",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=DeliveryOut,
    responses=problems(404),
)
async def redeliver(delivery_id: Identity, app: Context, caller: SubscriptionsWriter) -> Response:
    """Queue a delivery again, from its first attempt on, under the same event id."""
    act = Asked(app, caller, lambda made: json_answer(delivery_out(*made), status=202))
    return act.reply(await app.subscriptions.redeliver(caller.tenant, delivery_id, act=act))


def delivery_out(one: Delivery, attempts: Sequence[Attempt]) -> DeliveryOut:
    """Show a delivery with its attempts."""
    return DeliveryOut.model_validate(
        {
            "id": one.id,
            "tenant": one.tenant,
            "subscription": one.subscription,
            "event": one.event,
            "event_type": one.event_type,
            "incident": one.incident,
            "state": one.state,
            "reason": one.reason,
            "created_at": one.created_at,
            "next_attempt_at": one.due_at if one.state == PENDING else None,
            "done_at": one.done_at,
            "superseded": list(one.superseded),
            "superseded_by": one.superseded_by,
            "replay": one.replay,
            "attempts": [
                {
                    "at": attempt.at,
                    "status": attempt.status,
                    "outcome": attempt.outcome,
                    "duration_ms": attempt.duration_ms,
                    "phases": {name: attempt.phases.get(name) for name in PhasesOut.model_fields},
                    "request_headers": attempt.headers,
                    "excerpt": attempt.excerpt,
                }
                for attempt in attempts
            ],
        }
    )
