"""The queue of deliveries: claimed in batches by lease, fenced by token, in order per lane."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import (
    Connection,
    RowMapping,
    Select,
    Update,
    and_,
    bindparam,
    insert,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from app.core.events import EventType
from app.core.retry import BREAKS_AFTER, Why
from app.core.route import Subscription
from app.store import replays, subscriptions
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

# Written out, for the sake of its partial index.
PING = T.c.event_type == literal_column(f"'{EventType.TEST_PING}'")
B_NOW = bindparam("b_now", type_=T.c.due_at.type)
Room = Callable[[str], int]  # how many more of a subscription may be in flight


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
    room: Room,
    after: str = "",
    held: Collection[str] = (),
) -> list[Claimed]:
    """Take due deliveries, of each subscription as many as there is room for.

    Of each lane only its oldest waiting delivery is taken, so that order holds; a ping passes
    whatever the subscription's standing is, everything else waits for an active one, and while
    its breaker is open for one delivery a minute. Subscriptions take turns, from that ``after`` on.
    What the caller still has under way (``held``) it is not given again, however late it is.
    """
    ids = _fair(c, _turns(c, now, after), now=now, limit=limit, room=room)
    ids = [identity for identity in ids if identity not in held]
    if not ids:
        return []
    lease = {"b_ids": ids, "b_now": now, "b_token": token, "b_until": until}
    rows = c.execute(_take(), lease).mappings()
    return _with_documents(
        c,
        sorted(rows.all(), key=lambda row: (row["due_at"], row["position"])),
        token=token,
        now=now,
    )


@dataclass(frozen=True, slots=True)
class _Turn:
    """A subscription that something is due for; unless it ``sends``, no more than a ping."""

    name: str
    sends: bool
    broken: bool


def _turns(c: Connection, now: datetime, after: str) -> list[_Turn]:
    rows = c.execute(_takers(), {"b_now": now})
    found = [_Turn(row.id, bool(row.sends), bool(row.broken)) for row in rows]
    split = next((n for n, turn in enumerate(found) if turn.name > after), 0)
    return [*found[split:], *found[:split]]


# Each statement below is made once: to make one costs several times as much as to run it.


def _due() -> Select[Any]:
    return select(T.c.id).where(IS_PENDING, T.c.due_at <= B_NOW, free(B_NOW))


@cache
def _takers() -> Select[Any]:
    """Subscriptions that something is due for, with how they stand."""
    due = _due().where(T.c.subscription == S.c.id).correlate(S)
    sends = subscriptions.sending(B_NOW)
    broken = S.c.consecutive_failures >= BREAKS_AFTER
    return (
        select(S.c.id, sends.label("sends"), broken.label("broken"))
        .where(or_(and_(sends, due.exists()), due.where(PING).exists()))
        .order_by(S.c.id)
    )


@cache
def _take() -> ReturningUpdate[Any]:
    """Lease ``b_ids``, unless somebody else has one meanwhile."""
    ids = T.c.id.in_(bindparam("b_ids", expanding=True))
    still = select(T.c.id).where(ids, IS_PENDING, free(B_NOW))
    return (
        update(T)
        .where(T.c.id.in_(still.with_for_update(skip_locked=True)))
        .values(
            lease_token=bindparam("b_token"), lease_until=bindparam("b_until"),
            attempts=T.c.attempts + 1,
        )
        .returning(T)
    )  # fmt: skip


@cache
def _heads(*, pings: bool) -> Select[Any]:
    """What is due for one subscription (``b_subscription``), of each lane its head alone."""
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
    found = (
        _due()
        .where(T.c.subscription == bindparam("b_subscription"), ~behind)
        .order_by(T.c.due_at)
        .limit(bindparam("b_room"))
    )
    return found.where(PING) if pings else found


def _fair(
    c: Connection, turns: Sequence[_Turn], *, now: datetime, limit: int, room: Room
) -> list[str]:
    chosen: list[str] = []
    every, pings = _heads(pings=False), _heads(pings=True)
    for turn in turns:
        if len(chosen) >= limit:
            break
        slots = min(room(turn.name), limit - len(chosen))
        if slots <= 0:
            continue
        share = 1 if turn.broken else slots
        wanted = {"b_subscription": turn.name, "b_room": share, "b_now": now}
        ids = list(c.execute(every if turn.sends else pings, wanted).scalars())
        # Asked only when there is something to try: the time until the next trial begins then.
        trial = bool(ids) and turn.sends and turn.broken
        if not trial or subscriptions.half_open(c, turn.name, now=now):
            chosen += ids
    return chosen


def _with_documents(
    c: Connection, rows: Sequence[RowMapping], *, token: str, now: datetime
) -> list[Claimed]:
    wanted = list({row["event"] for row in rows if row["body"] is None})
    documents = {row.id: row.body for row in c.execute(_bodies(), {"b_ids": wanted})}
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


@cache
def _bodies() -> Select[Any]:
    return select(E.c.id, E.c.body).where(E.c.id.in_(bindparam("b_ids", expanding=True)))


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
        for row in c.execute(_leases(), {"b_ids": sorted(tokens)})
        if row.lease_token == tokens[row.id]
    }
    kept = [result for result in results if result.claimed.delivery.id in mine]
    if kept:
        _store(c, kept, now)
        # What the receiver answered is worth keeping even where the delivery is no longer ours.
    c.execute(insert(A), [_attempt_row(result) for result in results])
    return mine


@cache
def _leases() -> Select[Any]:
    ids = T.c.id.in_(bindparam("b_ids", expanding=True))
    return select(T.c.id, T.c.lease_token).where(ids, IS_PENDING).with_for_update()


@cache
def _conclude() -> Update:
    return (
        update(T)
        .where(T.c.id == bindparam("b_id"))
        .values(
            state=bindparam("b_state"), reason=bindparam("b_reason"), due_at=bindparam("b_due"),
            done_at=bindparam("b_done"), lease_token=None, lease_until=None,
        )
    )  # fmt: skip


@cache
def _move() -> Update:
    """Let the rest of a lane wait with its head."""
    return (
        update(T)
        .where(T.c.subscription == bindparam("b_subscription"), T.c.lane == bindparam("b_lane"))
        .where(IS_PENDING, T.c.id != bindparam("b_id"), T.c.attempts == 0)
        .values(due_at=bindparam("b_due"))
    )


def _attempt_row(result: Recorded) -> dict[str, Any]:
    return {
        "delivery": result.claimed.delivery.id,
        "at": result.attempt.at,
        "status": result.attempt.status,
        "outcome": result.attempt.outcome,
        "duration_ms": result.attempt.duration_ms,
        "excerpt": result.attempt.excerpt,
        "phases": _text(result.attempt.phases),
        "headers": _text(result.attempt.headers),
    }


def _text(found: Mapping[str, Any]) -> str:
    return msgspec.json.encode(found).decode()


def _store(c: Connection, kept: Sequence[Recorded], now: datetime) -> None:
    c.execute(
        _conclude(),
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
    # The rest of a lane waits with its head, so that claims do not read what cannot go. A head
    # that is through at its first attempt never held anything up.
    moved = [
        {
            "b_subscription": result.claimed.delivery.subscription,
            "b_lane": result.claimed.delivery.lane,
            "b_id": result.claimed.delivery.id,
            "b_due": result.due_at if result.state == PENDING else now,
        }
        for result in kept
        if result.state == PENDING or result.claimed.delivery.attempts > 1
    ]
    if moved:
        c.execute(_move(), moved)
    again = {r.claimed.delivery.replay for r in kept if r.state == PENDING} - {None}
    if again:
        replays.withdraw_cancelled(c, [name for name in again if name], now=now)


def _finish_superseded(c: Connection, result: Recorded, now: datetime) -> None:
    standing = result.claimed.delivery
    c.execute(
        update(T)
        .where(T.c.subscription == standing.subscription, T.c.event.in_(standing.superseded))
        .where(T.c.state.in_((SUPERSEDED, PARKED)), T.c.superseded_by == standing.id)
        .values(state=result.state, done_at=now)
    )
