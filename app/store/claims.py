"""The queue of deliveries: claimed in batches by lease, fenced by token, in order per lane."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    RowMapping,
    Select,
    and_,
    bindparam,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from app.core.events import EventType
from app.core.retry import Why
from app.core.route import Subscription
from app.store import subscriptions
from app.store.deliveries import (
    IS_PENDING,
    PARKED,
    PENDING,
    SUPERSEDED,
    Attempt,
    Delivery,
    delivery,
    free,
)
from app.store.tables import AttemptRow, DeliveryRow, EventRow, SubscriptionRow

T = DeliveryRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it
E = EventRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it
A = AttemptRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it
S = SubscriptionRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery that is ours until the lease ends, with what is needed to send it."""

    delivery: Delivery
    token: str
    document: bytes
    subscription: Subscription


def claim(
    c: Connection,
    *,
    token: str,
    now: datetime,
    until: datetime,
    limit: int,
    share: int,
    busy: Sequence[str] = (),
) -> list[Claimed]:
    """Take due deliveries, at most ``share`` of one subscription, none of those that are busy.

    Of each lane only its oldest waiting delivery is taken, so that order holds; a ping passes
    whatever the subscription's standing is, everything else waits for an active one.
    """
    ids = _fair(c, _due(now, busy, limit * 4), limit=limit, share=share)
    if not ids:
        return []
    still = select(T.c.id).where(T.c.id.in_(ids), IS_PENDING, free(now))
    rows = c.execute(
        update(T)
        .where(T.c.id.in_(still.with_for_update(skip_locked=True)))
        .values(lease_token=token, lease_until=until, attempts=T.c.attempts + 1)
        .returning(T)
    ).mappings()
    return _with_documents(
        c,
        sorted(rows.all(), key=lambda row: (row["due_at"], row["position"])),
        token=token,
        now=now,
    )


def _due(now: datetime, busy: Sequence[str], window: int) -> Select[Any]:
    earlier = T.alias("earlier")
    behind = (
        select(earlier.c.id)
        .where(earlier.c.subscription == T.c.subscription, earlier.c.lane == T.c.lane)
        .where(earlier.c.state == literal_column("'pending'"))
        .where(
            or_(
                earlier.c.position < T.c.position,
                and_(earlier.c.position == T.c.position, earlier.c.id < T.c.id),
            )
        )
        .exists()
    )
    # What waits for a subscription that was deleted is claimed too, and parked by the claim.
    shut = select(S.c.id).where(S.c.deleted_at.is_(None), ~subscriptions.sending())
    goes = or_(T.c.subscription.not_in(shut), T.c.event_type == EventType.TEST_PING.value)
    return (
        select(T.c.id, T.c.subscription)
        .where(IS_PENDING, T.c.due_at <= now, free(now), ~behind)
        .where(goes)
        .where(T.c.subscription.not_in(busy))
        .order_by(T.c.due_at)
        .limit(window)
    )


def _fair(c: Connection, due: Select[Any], *, limit: int, share: int) -> list[str]:
    taken: dict[str, int] = {}
    chosen: list[str] = []
    for row in c.execute(due):
        if len(chosen) < limit and taken.get(row.subscription, 0) < share:
            taken[row.subscription] = taken.get(row.subscription, 0) + 1
            chosen.append(row.id)
    return chosen


def _with_documents(
    c: Connection, rows: Sequence[RowMapping], *, token: str, now: datetime
) -> list[Claimed]:
    wanted = [row["event"] for row in rows if row["body"] is None]
    documents = {
        row.id: row.body for row in c.execute(select(E.c.id, E.c.body).where(E.c.id.in_(wanted)))
    }
    receivers = subscriptions.of_ids(c, {row["subscription"] for row in rows})
    claimed = []
    for row in rows:
        document = row["body"] or documents.get(row["event"])
        receiver = receivers.get(row["subscription"])
        if document is None or receiver is None:
            _park(c, row["id"], Why.EXPIRED if receiver else Why.DELETED, now)
            continue
        claimed.append(
            Claimed(delivery=delivery(row), token=token, document=document, subscription=receiver)
        )
    return claimed


def _park(c: Connection, identity: str, reason: Why, now: datetime) -> None:
    c.execute(
        update(T)
        .where(T.c.id == identity)
        .values(state=PARKED, reason=reason.value, done_at=now, lease_token=None, lease_until=None)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What became of a claimed delivery: its new state and the attempt that led to it."""

    claimed: Claimed
    attempt: Attempt
    state: str
    reason: Why
    due_at: datetime


def record(c: Connection, results: Sequence[Recorded], *, now: datetime) -> set[str]:
    """Store outcomes under my lease alone; gives the ids of the deliveries that were still mine."""
    tokens = {result.claimed.delivery.id: result.claimed.token for result in results}
    mine = {
        row.id
        for row in c.execute(
            select(T.c.id, T.c.lease_token)
            .where(T.c.id.in_(sorted(tokens)), IS_PENDING)
            .with_for_update()
        )
        if row.lease_token == tokens[row.id]
    }
    kept = [result for result in results if result.claimed.delivery.id in mine]
    if kept:
        _store(c, kept, now)
        # What the receiver answered is worth keeping even where the delivery is no longer ours.
    c.execute(insert(A), [_attempt_row(result) for result in results])
    return mine


def _attempt_row(result: Recorded) -> dict[str, Any]:
    return {
        "delivery": result.claimed.delivery.id,
        "at": result.attempt.at,
        "status": result.attempt.status,
        "outcome": result.attempt.outcome,
        "duration_ms": result.attempt.duration_ms,
        "excerpt": result.attempt.excerpt,
    }


def _store(c: Connection, kept: Sequence[Recorded], now: datetime) -> None:
    c.execute(
        update(T)
        .where(T.c.id == bindparam("b_id"))
        .values(
            state=bindparam("b_state"), reason=bindparam("b_reason"), due_at=bindparam("b_due"),
            done_at=bindparam("b_done"), lease_token=None, lease_until=None,
        ),
        [
            {
                "b_id": result.claimed.delivery.id,
                "b_state": result.state,
                "b_reason": result.reason.value,
                "b_due": result.due_at,
                "b_done": None if result.state == PENDING else now,
            }
            for result in kept
        ],
    )  # fmt: skip
    for result in kept:
        if result.claimed.delivery.superseded and result.state != PENDING:
            _finish_superseded(c, result, now)
    # The rest of a lane waits with its head, so that claims do not read what cannot go.
    c.execute(
        update(T)
        .where(T.c.subscription == bindparam("b_subscription"), T.c.lane == bindparam("b_lane"))
        .where(IS_PENDING, T.c.id != bindparam("b_id"), T.c.attempts == 0)
        .values(due_at=bindparam("b_due")),
        [
            {
                "b_subscription": result.claimed.delivery.subscription,
                "b_lane": result.claimed.delivery.lane,
                "b_id": result.claimed.delivery.id,
                "b_due": result.due_at if result.state == PENDING else now,
            }
            for result in kept
        ],
    )


def _finish_superseded(c: Connection, result: Recorded, now: datetime) -> None:
    standing = result.claimed.delivery
    c.execute(
        update(T)
        .where(T.c.subscription == standing.subscription, T.c.event.in_(standing.superseded))
        .where(T.c.state.in_((SUPERSEDED, PARKED)), T.c.superseded_by == standing.id)
        .values(state=result.state, done_at=now)
    )
