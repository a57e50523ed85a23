"""API keys at rest: only the SHA-256 of a key is kept."""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, or_, select, update

from app.store.tables import ApiKeyRow

T = ApiKeyRow.__table__  # type: ignore[attr-defined]  # set by SQLModel when it builds the class

KEY, TOKEN, CALLER = "key", "token", "caller"  # kinds of credentials
OPERATOR = "*"  # the tenant of a key over several tenants


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one key may say at most, so that a stolen one is worth little.

    ``voices``: distinct reporters that it may speak for at one time; None: as the settings say, 0:
    any number. ``networks``: from where it may be used (CIDR). ``locations``: of which its probe
    results may be. Empty is anywhere.
    """

    voices: int | None = None
    networks: tuple[str, ...] = ()
    locations: tuple[str, ...] = ()

    def admits(self, address: str) -> bool:
        """Whether the key may be used from an address."""
        if not self.networks:
            return True
        try:
            there = ip_address(address)
        except ValueError:
            return False
        there = getattr(there, "ipv4_mapped", None) or there
        return any(there in ip_network(network) for network in self.networks)


NO_BOUNDS = Bounds()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What is known of a key.

    ``tenant`` is ``*`` for an operator's, whose ``grants`` name its tenants; none: all of them.
    Keys of one ``client`` follow each other by rotation. An access token is a key of the kind
    ``token`` that is stored nowhere and ends with it; its scopes may differ ``in_tenant``. One of
    the kind ``caller`` stands in the settings.
    """

    id: str
    tenant: str
    name: str
    scopes: frozenset[str]
    last_four: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    bounds: Bounds = NO_BOUNDS
    grants: tuple[str, ...] = ()
    client: str = ""
    in_tenant: tuple[tuple[str, frozenset[str]], ...] = ()
    kind: str = KEY

    def scopes_in(self, tenant: str) -> frozenset[str]:
        """What is open in one tenant."""
        return dict(self.in_tenant).get(tenant, self.scopes)

    def is_valid(self, now: datetime) -> bool:
        """Whether the key opens anything at this instant."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def create(c: Connection, key: ApiKey, *, digest: str) -> None:
    """Store a new key under the SHA-256 of its secret."""
    c.execute(
        insert(T).values(
            id=key.id,
            tenant=key.tenant,
            name=key.name,
            scopes=",".join(sorted(key.scopes)),
            hash=digest,
            last_four=key.last_four,
            created_at=key.created_at,
            expires_at=key.expires_at,
            grants=",".join(key.grants),
            client=key.client or key.id,
            bounds=None if key.bounds == NO_BOUNDS else json.dumps(asdict(key.bounds)),
        )
    )


def any_valid(c: Connection, *, now: datetime) -> bool:
    """Whether some key opens anything."""
    return c.execute(select(T.c.id).where(_valid(now)).limit(1)).first() is not None


def find(c: Connection, digest: str) -> ApiKey | None:
    """The key with this SHA-256, valid or not."""
    row = c.execute(select(T).where(T.c.hash == digest)).one_or_none()
    return None if row is None else _key(row)


def get(c: Connection, tenant: str | None, key_id: str) -> ApiKey | None:
    """One key by id; ``tenant`` None looks at all tenants."""
    statement = select(T).where(T.c.id == key_id)
    if tenant is not None:
        statement = statement.where(T.c.tenant == tenant)
    row = c.execute(statement).one_or_none()
    return None if row is None else _key(row)


def page(c: Connection, tenant: str | None, *, after: str | None, limit: int) -> list[ApiKey]:
    """Keys from the newest on, after the id ``after``; ``tenant`` None lists all tenants."""
    statement = select(T).order_by(T.c.id.desc()).limit(limit)
    if tenant is not None:
        statement = statement.where(T.c.tenant == tenant)
    if after is not None:
        statement = statement.where(T.c.id < after)
    return [_key(row) for row in c.execute(statement)]


def valid_of(c: Connection, client: str, *, now: datetime) -> int:
    """How many keys of one client open something."""
    counted = select(func.count()).select_from(T).where(T.c.client == client, _valid(now))
    return int(c.execute(counted).scalar_one())


def end_at(c: Connection, key_id: str, *, at: datetime) -> None:
    """Let a key end at an instant, unless it ends before."""
    later = or_(T.c.expires_at.is_(None), T.c.expires_at > at)
    c.execute(update(T).where(T.c.id == key_id, later).values(expires_at=at))


def revoke(c: Connection, tenant: str | None, key_id: str, *, now: datetime) -> ApiKey | None:
    """Revoke a key for good and return it; the first revocation's time stands."""
    statement = update(T).where(T.c.id == key_id, T.c.revoked_at.is_(None))
    if tenant is not None:
        statement = statement.where(T.c.tenant == tenant)
    c.execute(statement.values(revoked_at=now))
    return get(c, tenant, key_id)


def touch(c: Connection, key_ids: Collection[str], *, now: datetime) -> None:
    """Note that keys were used; never moves backwards."""
    earlier = or_(T.c.last_used_at.is_(None), T.c.last_used_at < now)
    c.execute(update(T).where(T.c.id.in_(sorted(key_ids)), earlier).values(last_used_at=now))


def _valid(now: datetime) -> ColumnElement[bool]:
    return and_(T.c.revoked_at.is_(None), or_(T.c.expires_at.is_(None), T.c.expires_at > now))


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        tenant=row.tenant,
        name=row.name,
        scopes=frozenset(filter(None, row.scopes.split(","))),
        last_four=row.last_four,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        bounds=_bounds(row.bounds),
        grants=tuple(filter(None, row.grants.split(","))),
        client=row.client or row.id,
    )


def _bounds(text: str | None) -> Bounds:
    if text is None:
        return NO_BOUNDS
    told = json.loads(text)
    return Bounds(
        voices=told["voices"],
        networks=tuple(told["networks"]),
        locations=tuple(told["locations"]),
    )
