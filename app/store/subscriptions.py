"""Subscriptions as rows: standing wishes, their secrets sealed, their standing kept in step."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    case,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from app.core.retry import BREAKS_AFTER, PROBE_EVERY, Standing
from app.core.route import Filter, Subscription
from app.core.types import Status, TenantId, severity_of
from app.store.tables import SubscriptionRow

T = SubscriptionRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it

_NOT_SETTINGS = (
    "id", "tenant", "created_by", "created_at", "state", "verified_at", "failing_since",
    "consecutive_failures", "open_until",
)  # fmt: skip
_SENDING = (Standing.ACTIVE, Standing.FAILING)


def add(c: Connection, subscription: Subscription) -> None:
    """Store a new subscription."""
    c.execute(insert(T).values(**_values(subscription)))


def get(c: Connection, tenant: TenantId | None, identity: str) -> Subscription | None:
    """Read one, unless it was deleted. Without a tenant: whosever it is."""
    statement = select(T).where(T.c.id == identity, T.c.deleted_at.is_(None))
    if tenant is not None:
        statement = statement.where(T.c.tenant == tenant)
    row = c.execute(statement).mappings().first()
    return None if row is None else _subscription(row)


def page(
    c: Connection, tenant: TenantId | None, *, after: str | None, limit: int
) -> list[Subscription]:
    """List by id from after one on; ids sort by time. Without a tenant: all of them."""
    statement = select(T).where(T.c.deleted_at.is_(None)).order_by(T.c.id).limit(limit)
    if tenant is not None:
        statement = statement.where(T.c.tenant == tenant)
    if after is not None:
        statement = statement.where(T.c.id > after)
    return [_subscription(row) for row in c.execute(statement).mappings()]


def receiving(c: Connection, tenant: TenantId) -> list[Subscription]:
    """List those that new events are planned for.

    A subscription that was verified once and waits for a ping at its new address is among them:
    its deliveries wait with it.
    """
    verified = and_(T.c.state == Standing.UNVERIFIED, T.c.verified_at.is_not(None))
    statement = select(T).where(
        T.c.tenant == tenant,
        T.c.deleted_at.is_(None),
        or_(T.c.state.in_(_SENDING), verified),
    )
    return [_subscription(row) for row in c.execute(statement.order_by(T.c.id)).mappings()]


def of_ids(c: Connection, identities: Collection[str]) -> dict[str, Subscription]:
    """Read several, of any tenant, by id."""
    rows = c.execute(_several(), {"b_ids": list(identities)}).mappings()
    return {row["id"]: _subscription(row) for row in rows}


@cache
def _several() -> Select[Any]:  # made once, because it is asked so often
    ids = T.c.id.in_(bindparam("b_ids", expanding=True))
    return select(T).where(ids, T.c.deleted_at.is_(None))


def sending(now: datetime | BindParameter[Any]) -> ColumnElement[bool]:
    """Condition on a subscription's row: something else than a ping may be sent to it now.

    What waits for one that was deleted goes too: the claim parks it.
    """
    closed = or_(T.c.open_until.is_(None), T.c.open_until <= now)
    return or_(T.c.deleted_at.is_not(None), and_(T.c.state.in_(_SENDING), closed))


def half_open(c: Connection, identity: str, *, now: datetime) -> bool:
    """Let one delivery through an open breaker whose time has come; False when one just went.

    The next one may go after ``PROBE_EVERY``, whatever becomes of this one; a success closes the
    breaker.
    """
    done = c.execute(
        update(T)
        .where(T.c.id == identity, or_(T.c.open_until.is_(None), T.c.open_until <= now))
        .values(open_until=now + PROBE_EVERY)
    )
    return done.rowcount == 1


def replace(c: Connection, subscription: Subscription, *, revision: int) -> bool:
    """Store changed settings over ``revision``; False when it has changed meanwhile.

    The standing and the count of failures are not settings: they change without a new revision.
    """
    values = _values(subscription)
    for name in _NOT_SETTINGS:
        del values[name]
    done = c.execute(
        update(T)
        .where(T.c.id == subscription.id, T.c.tenant == subscription.tenant)
        .where(T.c.revision == revision, T.c.deleted_at.is_(None))
        .values(**values)
    )
    return done.rowcount == 1


def delete(c: Connection, tenant: TenantId, identity: str, *, revision: int, now: datetime) -> bool:
    """Mark one as deleted; False when it has changed meanwhile."""
    done = c.execute(
        update(T)
        .where(T.c.id == identity, T.c.tenant == tenant)
        .where(T.c.revision == revision, T.c.deleted_at.is_(None))
        .values(deleted_at=now, updated_at=now, state=Standing.DISABLED, revision=revision + 1)
    )
    return done.rowcount == 1


def succeeded(c: Connection, identities: Sequence[str]) -> list[str]:
    """Take note of deliveries that arrived; gives those that were failing and now are active."""
    if not identities:
        return []
    before = c.execute(_troubled(), {"b_ids": list(identities)})
    troubled = {row.id: row.state for row in before}
    if not troubled:
        return []
    failing = T.c.state == Standing.FAILING
    c.execute(
        update(T)
        .where(T.c.id.in_(sorted(troubled)))
        .values(
            consecutive_failures=0,
            failing_since=None,
            open_until=None,
            state=case((failing, Standing.ACTIVE.value), else_=T.c.state),
            state_reason=case((failing, "delivered"), else_=T.c.state_reason),
        )
    )
    return sorted(name for name, state in troubled.items() if state == Standing.FAILING)


@cache
def _troubled() -> Select[Any]:
    ids = T.c.id.in_(bindparam("b_ids", expanding=True))
    return select(T.c.id, T.c.state).where(ids, T.c.consecutive_failures > 0)


def verified(c: Connection, identity: str, *, now: datetime) -> bool:
    """A ping was answered: make an unverified subscription active; True when it was not."""
    done = c.execute(
        update(T)
        .where(T.c.id == identity, T.c.deleted_at.is_(None))
        .where(T.c.state.in_((Standing.UNVERIFIED, Standing.DISABLED)))
        .values(
            state=Standing.ACTIVE, state_reason="verified", verified_at=now,
            consecutive_failures=0, failing_since=None, open_until=None,
        )
    )  # fmt: skip
    return done.rowcount == 1


def failed(c: Connection, identity: str, *, now: datetime) -> tuple[Standing, datetime] | None:
    """Count a failed attempt; gives the standing and when the row of failures began.

    The one that makes ``BREAKS_AFTER`` in a row, and each after it, opens the breaker.
    """
    about = {"b_id": identity, "b_now": now, "b_until": now + PROBE_EVERY}
    row = c.execute(_count_failure(), about).first()
    return None if row is None else (Standing(row.state), row.failing_since)


@cache
def _count_failure() -> ReturningUpdate[Any]:
    breaks = T.c.consecutive_failures + 1 >= BREAKS_AFTER
    now, until = (bindparam(name, type_=T.c.open_until.type) for name in ("b_now", "b_until"))
    return (
        update(T)
        .where(T.c.id == bindparam("b_id"), T.c.deleted_at.is_(None))
        .values(
            consecutive_failures=T.c.consecutive_failures + 1,
            failing_since=func.coalesce(T.c.failing_since, now),
            open_until=case((breaks, until), else_=T.c.open_until),
        )
        .returning(T.c.state, T.c.failing_since)
    )


def stand(c: Connection, identity: str, standing: Standing, *, reason: str) -> bool:
    """Set how a subscription stands, and why; False when it stands so already."""
    done = c.execute(
        update(T)
        .where(T.c.id == identity, T.c.state != standing, T.c.deleted_at.is_(None))
        .values(state=standing, state_reason=reason)
    )
    return done.rowcount == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Untold:
    """A subscription that stands otherwise than was last told."""

    id: str
    tenant: TenantId
    description: str
    state: Standing
    before: str | None
    reason: str


def untold(c: Connection, limit: int) -> list[Untold]:
    """List those whose failing, end or recovery no event has told yet."""
    told = func.coalesce(T.c.told_state, Standing.ACTIVE.value)
    news = (Standing.ACTIVE.value, Standing.FAILING.value, Standing.DISABLED.value)
    rows = c.execute(
        select(T.c.id, T.c.tenant, T.c.description, T.c.state, T.c.told_state, T.c.state_reason)
        .where(T.c.deleted_at.is_(None), T.c.state.in_(news), T.c.state != told)
        .order_by(T.c.id)
        .limit(limit)
    )
    return [
        Untold(
            id=row.id, tenant=TenantId(row.tenant), description=row.description,
            state=Standing(row.state), before=row.told_state, reason=row.state_reason or "",
        )
        for row in rows
    ]  # fmt: skip


def tell(c: Connection, news: Untold) -> bool:
    """Note that an event tells it; False when another replica was first, or it stands anew."""
    done = c.execute(
        update(T)
        .where(T.c.id == news.id, T.c.state == news.state, T.c.deleted_at.is_(None))
        .where(T.c.told_state.is_not_distinct_from(news.before))
        .values(told_state=news.state)
    )
    return done.rowcount == 1


def _values(subscription: Subscription) -> dict[str, Any]:
    wanted = subscription.filter
    return {
        "id": subscription.id,
        "tenant": subscription.tenant,
        "revision": subscription.revision,
        "url": subscription.url,
        "event_types": json.dumps(subscription.event_types),
        "filter": json.dumps(
            {
                "services": wanted.services,
                "min_severity": None if wanted.min_severity is None else wanted.min_severity.word,
                "statuses": wanted.statuses,
                "regions": wanted.regions,
                "labels": dict(wanted.labels),
                "announced": wanted.announced,
            }
        ),
        "format": subscription.format,
        "detail": subscription.detail,
        "signing": subscription.signing,
        "description": subscription.description,
        "state": subscription.state.value,
        "secret": subscription.secret,
        "secret_previous": subscription.secret_previous,
        "previous_until": subscription.previous_until,
        "created_by": subscription.created_by,
        "created_at": subscription.created_at,
        "updated_at": subscription.updated_at,
        "verified_at": subscription.verified_at,
        "failing_since": subscription.failing_since,
        "consecutive_failures": subscription.consecutive_failures,
        "open_until": subscription.open_until,
    }


def _subscription(row: Mapping[str, Any] | Any) -> Subscription:
    wanted = json.loads(row["filter"])
    least = wanted["min_severity"]
    return Subscription(
        id=row["id"],
        tenant=TenantId(row["tenant"]),
        revision=row["revision"],
        url=row["url"],
        event_types=tuple(json.loads(row["event_types"])),
        filter=Filter(
            services=tuple(wanted["services"]),
            min_severity=None if least is None else severity_of(least),
            statuses=tuple(Status(word) for word in wanted["statuses"]),
            regions=tuple(wanted["regions"]),
            labels=tuple(sorted(wanted.get("labels", {}).items())),
            announced=wanted.get("announced", False),
        ),
        format=row["format"],
        detail=row["detail"],
        signing=row["signing"],
        description=row["description"],
        state=Standing(row["state"]),
        secret=row["secret"],
        secret_previous=row["secret_previous"],
        previous_until=row["previous_until"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        verified_at=row["verified_at"],
        failing_since=row["failing_since"],
        consecutive_failures=row["consecutive_failures"],
        open_until=row["open_until"],
    )
