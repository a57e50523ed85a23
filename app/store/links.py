"""Links and mirrors as rows: who is due, who holds a lease, what is known of the other side."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, case, delete, func, or_, select, update

from app.core.link import Link, LinkState, Memory
from app.core.types import TenantId
from app.store.link_tables import LinkRow, MirrorHintRow, MirrorRow
from app.store.upserts import insert_into

L = LinkRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time
M = MirrorRow.__table__  # type: ignore[attr-defined]  # the same
H = MirrorHintRow.__table__  # type: ignore[attr-defined]  # the same

FIRST_CURSOR = "2000-01-01 00:00:00"  # at the first look everything that is ours counts
# Longer than a hint's timestamp is accepted (minutes), and PagerDuty repeats a delivery (48 h).
HINTS_KEPT = timedelta(hours=49)
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Memory)
WAITING = (LinkState.PENDING.value, LinkState.HELD.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a mirror or channel has come; ``trouble`` is why it fails, while it does."""

    name: str
    tenant: TenantId
    position: int
    cursor: str
    poll_at: datetime
    polled_at: datetime | None
    failing_since: datetime | None = None
    trouble: str = ""


class NotMine(Exception):  # noqa: N818 - not an error: the lease went to somebody else
    """The link is held under another lease now."""


def _values(link: Link) -> dict[str, Any]:
    names = (
        "id", "tenant", "mirror", "system", "subject", "incident", "generation", "explanation",
        "correlation", "number", "remote_id", "url", "remote_state", "created_at", "due_at",
        "asked_at", "last_synced_at",
    )  # fmt: skip
    values = {name: getattr(link, name) for name in names}
    return {**values, "state": link.state.value, "memory": _ENCODER.encode(link.memory)}


def _link(row: Any) -> Link:
    return Link(
        id=row.id,
        tenant=TenantId(row.tenant),
        mirror=row.mirror,
        system=row.system,
        subject=row.subject,
        incident=row.incident,
        generation=row.generation,
        state=LinkState(row.state),
        explanation=row.explanation,
        correlation=row.correlation,
        created_at=row.created_at,
        due_at=row.due_at,
        number=row.number,
        remote_id=row.remote_id,
        url=row.url,
        remote_state=row.remote_state,
        asked_at=row.asked_at,
        last_synced_at=row.last_synced_at,
        memory=_DECODER.decode(row.memory),
    )


def _standing(row: Any) -> Standing:
    return Standing(
        name=row.name,
        tenant=TenantId(row.tenant),
        position=row.position,
        cursor=row.cursor,
        poll_at=row.poll_at,
        polled_at=row.polled_at,
        failing_since=row.failing_since,
        trouble=row.trouble or "",
    )


def standing(
    c: Connection, name: str, tenant: TenantId, *, now: datetime, position: int, lock: bool = False
) -> Standing:
    """Where a mirror stands; one that is new begins after ``position``.

    With ``lock`` nobody else moves it, or spends its budget, until the transaction ends.
    """
    fresh = {
        "name": name, "tenant": tenant, "position": position, "cursor": FIRST_CURSOR,
        "poll_at": now,
    }  # fmt: skip
    c.execute(insert_into(c, M).values(fresh).on_conflict_do_nothing())
    query = select(M).where(M.c.name == name)
    return _standing(c.execute(query.with_for_update() if lock else query).one())


def known(c: Connection, name: str) -> Standing | None:
    """Where a mirror stands, or None before its first step."""
    row = c.execute(select(M).where(M.c.name == name)).one_or_none()
    return None if row is None else _standing(row)


def standings(c: Connection, tenant: TenantId | None = None) -> dict[str, Standing]:
    """Where each mirror and channel stands, by name. Without a tenant: of all."""
    query = select(M) if tenant is None else select(M).where(M.c.tenant == tenant)
    return {row.name: _standing(row) for row in c.execute(query)}


def told_at(c: Connection, tenant: TenantId) -> dict[str, datetime]:
    """When each mirror and channel last reached the other side, by name."""
    newest = func.max(L.c.last_synced_at)
    query = select(L.c.mirror, newest.label("at")).where(L.c.tenant == tenant)
    rows = c.execute(query.group_by(L.c.mirror).having(newest.is_not(None)))
    return {row.mirror: row.at for row in rows}


def fails(c: Connection, name: str, *, since: datetime, why: str) -> bool:
    """Note that it fails; False when that was known."""
    news = update(M).where(M.c.name == name, M.c.failing_since.is_(None))
    return c.execute(news.values(failing_since=since, trouble=why)).rowcount == 1


def retold(c: Connection, name: str, *, why: str) -> None:
    """Note another reason of what fails already."""
    news = update(M).where(M.c.name == name, M.c.failing_since.is_not(None))
    c.execute(news.values(trouble=why))


def works(c: Connection, name: str) -> bool:
    """Note that it works again; False when that was known."""
    news = update(M).where(M.c.name == name, M.c.failing_since.is_not(None))
    return c.execute(news.values(failing_since=None, trouble=None)).rowcount == 1


def refused(c: Connection, name: str, *, until: datetime) -> Link | None:
    """A link that was refused and is tried again by then; None when nothing is."""
    query = select(L).where(
        L.c.mirror == name, L.c.state == LinkState.FAILED.value, L.c.due_at <= until
    )
    row = c.execute(query.order_by(L.c.id).limit(1)).one_or_none()
    return None if row is None else _link(row)


def next_at(c: Connection, name: str) -> datetime | None:
    """When a mirror has something to do at the earliest: its poll, or a link that is due."""
    poll = case((M.c.lease_until > M.c.poll_at, M.c.lease_until), else_=M.c.poll_at)
    found = [
        c.execute(select(poll).where(M.c.name == name)).scalar_one_or_none(),
        next_due(c, name),
    ]
    return min((at for at in found if at is not None), default=None)


def next_due(c: Connection, name: str) -> datetime | None:
    """When a link of a mirror or a channel has something to do at the earliest."""
    due = case((L.c.lease_until > L.c.due_at, L.c.lease_until), else_=L.c.due_at)
    found: datetime | None = c.execute(
        select(func.min(due)).where(L.c.mirror == name)
    ).scalar_one_or_none()
    return found


def advance(c: Connection, name: str, position: int) -> None:
    """Note how far the event log was followed."""
    c.execute(update(M).where(M.c.name == name).values(position=position))


def claim_poll(
    c: Connection, name: str, *, token: str, now: datetime, until: datetime
) -> str | None:
    """Take the poll that is due; gives its cursor, None when it is not due or somebody has it."""
    due = and_(M.c.poll_at <= now, or_(M.c.lease_until.is_(None), M.c.lease_until <= now))
    row = c.execute(
        update(M)
        .where(M.c.name == name, due)
        .values(lease_token=token, lease_until=until)
        .returning(M.c.cursor)
    ).one_or_none()
    return None if row is None else str(row.cursor)


def polled(
    c: Connection, name: str, *, token: str, cursor: str | None, now: datetime, again_at: datetime
) -> None:
    """Give the poll back; without a cursor it did not succeed, and begins there again.

    A hint that came meanwhile is not forgotten: then ``poll_at`` is no longer what it was.
    """
    mine = update(M).where(M.c.name == name, M.c.lease_token == token)
    c.execute(mine.where(M.c.poll_at <= now).values(poll_at=again_at))
    values: dict[str, Any] = {"lease_token": None, "lease_until": None}
    if cursor is not None:
        values |= {"cursor": cursor, "polled_at": now}
    c.execute(mine.values(values))


def hint(c: Connection, name: str, identity: str, *, now: datetime) -> bool:
    """Take a hint once: the mirror polls now; False for a repetition."""
    fresh = first_time(c, name, identity, now=now, kept=HINTS_KEPT)
    if fresh:
        c.execute(update(M).where(M.c.name == name).values(poll_at=now))
    return fresh


def first_time(c: Connection, name: str, identity: str, *, now: datetime, kept: timedelta) -> bool:
    """Whether a signed message of a sender comes for the first time; remembered for ``kept``."""
    c.execute(delete(H).where(H.c.mirror == name, H.c.received_at < now - kept))
    row = {"mirror": name, "id": identity, "received_at": now}
    taken = insert_into(c, H).values(row).on_conflict_do_nothing().returning(H.c.id)
    return c.execute(taken).one_or_none() is not None


def add(c: Connection, link: Link) -> bool:
    """Store a new link; False when there is one of its subject and generation."""
    made = c.execute(
        insert_into(c, L).values(_values(link)).on_conflict_do_nothing().returning(L.c.id)
    ).one_or_none()
    return made is not None


def put(c: Connection, link: Link) -> None:
    """Store a link that no lease guards, in place of what was known of it."""
    if not add(c, link):
        c.execute(update(L).where(L.c.id == link.id).values(_values(link)))


def get(c: Connection, tenant: TenantId | None, identity: str) -> Link | None:
    """One link. Without a tenant: whosever it is."""
    query = select(L).where(L.c.id == identity)
    if tenant is not None:
        query = query.where(L.c.tenant == tenant)
    row = c.execute(query).one_or_none()
    return None if row is None else _link(row)


def newest(c: Connection, mirror: str, subject: str) -> Link | None:
    """The last generation of a subject."""
    query = select(L).where(L.c.mirror == mirror, L.c.subject == subject)
    row = c.execute(query.order_by(L.c.generation.desc()).limit(1)).one_or_none()
    return None if row is None else _link(row)


def by_remote(c: Connection, mirror: str, remote_ids: Sequence[str]) -> dict[str, Link]:
    """Links by the remote record that they lead to."""
    found: dict[str, Link] = {}
    for start in range(0, len(remote_ids), 200):
        part = remote_ids[start : start + 200]
        rows = c.execute(select(L).where(L.c.mirror == mirror, L.c.remote_id.in_(part)))
        found |= {row.remote_id: _link(row) for row in rows}
    return found


def of_incidents(c: Connection, tenant: TenantId, incidents: Sequence[str]) -> list[Link]:
    """All links of some incidents, oldest first."""
    query = select(L).where(L.c.tenant == tenant, L.c.incident.in_(incidents))
    return [_link(row) for row in c.execute(query.order_by(L.c.id))]


def page(
    c: Connection,
    tenant: TenantId | None,
    *,
    incident: str | None = None,
    mirror: str | None = None,
    state: str | None = None,
    after: str | None = None,
    limit: int,
) -> list[Link]:
    """List from the newest on, after the id ``after``. Without a tenant: of all."""
    query = select(L).order_by(L.c.id.desc()).limit(limit)
    given = {"tenant": tenant, "incident": incident, "mirror": mirror, "state": state}
    for name, value in given.items():
        if value is not None:
            query = query.where(L.c[name] == value)
    if after is not None:
        query = query.where(L.c.id < after)
    return [_link(row) for row in c.execute(query)]


def wake(c: Connection, identity: str, at: datetime) -> None:
    """Have a link looked at by then; one that is due earlier stays so."""
    c.execute(update(L).where(L.c.id == identity, L.c.due_at > at).values(due_at=at))


def rename(c: Connection, identity: str, *, remote_id: str, url: str | None) -> None:
    """Note what a link's record is called at the other side, which told it by itself."""
    c.execute(update(L).where(L.c.id == identity).values(remote_id=remote_id, url=url))


def restore(c: Connection, identity: str, state: LinkState, due_at: datetime, why: str) -> None:
    """Let a link begin anew that nobody works on."""
    c.execute(
        update(L)
        .where(L.c.id == identity, L.c.lease_token.is_(None))
        .values(state=state.value, due_at=due_at, explanation=why)
    )


def claim(
    c: Connection, mirror: str, *, token: str, now: datetime, until: datetime, limit: int
) -> list[Link]:
    """Take due links for so long, those that wait longest first."""
    free = or_(L.c.lease_until.is_(None), L.c.lease_until <= now)
    due = and_(L.c.mirror == mirror, L.c.due_at <= now, free)
    ids = select(L.c.id).where(due).order_by(L.c.due_at, L.c.id).limit(limit)
    rows = c.execute(
        update(L)
        .where(L.c.id.in_(ids.with_for_update(skip_locked=True)), due)
        .values(lease_token=token, lease_until=until, due_at=until)
        .returning(L)
    )
    return sorted((_link(row) for row in rows), key=lambda link: link.id)


def free(c: Connection, mirror: str, *, now: datetime) -> None:
    """Take every link from whoever held one: a former process, where there can be only one."""
    c.execute(
        update(L)
        .where(L.c.mirror == mirror, L.c.lease_token.is_not(None))
        .values(lease_token=None, lease_until=None, due_at=now)
    )


def hold(c: Connection, identity: str, *, token: str, now: datetime, until: datetime) -> bool:
    """Take one link that nobody else has, due or not."""
    free = or_(L.c.lease_until.is_(None), L.c.lease_until <= now)
    taken = c.execute(
        update(L)
        .where(L.c.id == identity, free)
        .values(lease_token=token, lease_until=until, due_at=until)
    )
    return taken.rowcount == 1


def save(c: Connection, link: Link, *, token: str, keep_until: datetime | None = None) -> None:
    """Store a link under my lease and give it back, or keep it so long.

    Whoever is taken under a lease is due at its end; an earlier ``due_at`` in the table says that
    it was woken meanwhile, which is not forgotten.

    Raises:
        NotMine: the lease is somebody else's by now; nothing was stored.
    """
    values = _values(link)
    if keep_until is None:
        woken = L.c.due_at < L.c.lease_until
        sooner = and_(woken, L.c.due_at < link.due_at)
        values["due_at"] = case((sooner, L.c.due_at), else_=link.due_at)
        values |= {"lease_token": None, "lease_until": None}
    else:
        values["due_at"] = case((L.c.due_at < L.c.lease_until, L.c.due_at), else_=keep_until)
        values["lease_until"] = keep_until
    saved = c.execute(update(L).where(L.c.id == link.id, L.c.lease_token == token).values(values))
    if saved.rowcount != 1:
        raise NotMine


def spent(c: Connection, mirror: str, since: datetime) -> int:
    """How many creates were sent since an instant."""
    query = select(func.count()).where(
        L.c.mirror == mirror, L.c.incident.is_not(None), L.c.asked_at > since
    )
    return int(c.execute(query).scalar_one())


def frees_at(c: Connection, mirror: str, since: datetime) -> datetime | None:
    """When the oldest create since an instant was sent."""
    query = select(func.min(L.c.asked_at)).where(
        L.c.mirror == mirror, L.c.incident.is_not(None), L.c.asked_at > since
    )
    found: datetime | None = c.execute(query).scalar_one_or_none()
    return found


def held(c: Connection, mirror: str) -> list[Link]:
    """Links that the budget holds back, oldest first."""
    query = select(L).where(L.c.mirror == mirror, L.c.state == LinkState.HELD.value)
    return [_link(row) for row in c.execute(query.order_by(L.c.id))]
