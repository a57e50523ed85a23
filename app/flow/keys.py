"""API keys: made, rotated and revoked by the command line and by the API alike."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any

from sqlalchemy import Connection

from app.core.errors import AlreadyRotated, InvalidInput, NotFound
from app.flow.acts import Act, noted, plain
from app.kit.ids import new_id
from app.kit.keys import digest, make_key
from app.store import keys
from app.store.engine import Database
from app.store.keys import NO_BOUNDS, OPERATOR, ApiKey, Bounds

KIND = "key"  # the typed part of an API key: sxt_key_…
PUBLIC_KIND = "pub"  # of one that stands in web pages: sxt_pub_…
PUBLIC_SCOPE = "reports:public"  # write only, with quotas, and never believed alone
SCOPES = (
    "reports:write",
    "probes:write",
    "intake:write",
    "incidents:read",
    "incidents:write",
    "subscriptions:write",
    PUBLIC_SCOPE,
    "admin",
)  # closed list of design section 7
LONGEST_NAME = 100  # characters
MOST_VALID = 2  # keys of one client that are valid at once, while it is rotated
OVERLAP = timedelta(hours=24)  # for so long the rotated key goes on


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key just made; ``secret`` is shown once and kept nowhere."""

    key: ApiKey
    secret: str


async def create(
    db: Database,
    *,
    tenant: str,
    name: str,
    scopes: Collection[str],
    now: datetime,
    expires_in: timedelta | None = None,
    bounds: Bounds = NO_BOUNDS,
    act: Act | None = None,
) -> NewKey:
    """Make and store an API key; ``tenant`` is ``*`` or ``a,b`` for an operator's.

    Raises:
        InvalidInput: a scope is unknown, there is none, the name is empty or too long, or a bound
            cannot be meant.
    """
    several = tuple(sorted({part.strip() for part in tenant.split(",")} - {""}))
    grants = several if len(several) > 1 else ()
    tenant = OPERATOR if grants else tenant.strip(", ")
    errors = [*_faults(tenant=tenant, name=name, scopes=scopes), *_faults_of(bounds, scopes)]
    if errors:
        raise InvalidInput(errors[0]["detail"], errors=errors)
    made = _make(
        tenant=tenant,
        grants=grants,
        name=name,
        scopes=scopes,
        now=now,
        expires_in=expires_in,
        bounds=bounds,
    )

    def unit(c: Connection) -> None:
        keys.create(c, made.key, digest=digest(made.secret))
        noted(act, c, made.key.id, after=_told(made.key), made=made, tenant=tenant)

    await db.write(unit)
    return made


async def rotate(
    db: Database,
    *,
    tenant: str | None,
    key_id: str,
    now: datetime,
    overlap: timedelta = OVERLAP,
    act: Act | None = None,
) -> NewKey:
    """Make the key that follows another; both are valid until ``overlap`` has passed.

    Raises:
        NotFound: there is no such key, or it is valid no longer.
        AlreadyRotated: two keys of this client are valid.
    """

    def read(c: Connection) -> ApiKey:
        found = keys.get(c, tenant, key_id)
        if found is None or not found.is_valid(now):
            raise NotFound
        return found

    old = await db.read(read)
    lasts = None if old.expires_at is None else old.expires_at - old.created_at
    following = replace(
        old,
        id=new_id("key"),
        created_at=now,
        expires_at=None if lasts is None else now + lasts,
        last_used_at=None,
    )
    made = _with_secret(following)

    def unit(c: Connection) -> None:
        current = read(c)
        if keys.valid_of(c, current.client, now=now) >= MOST_VALID:
            raise AlreadyRotated
        keys.create(c, made.key, digest=digest(made.secret))
        keys.end_at(c, key_id, at=now + overlap)
        told = {"follows": key_id, **_told(made.key)}
        noted(act, c, made.key.id, after=told, made=made, tenant=old.tenant)

    await db.write(unit)
    return made


async def revoke(
    db: Database, *, tenant: str | None, key_id: str, now: datetime, act: Act | None = None
) -> ApiKey:
    """Revoke a key; ``tenant`` None reaches the keys of all tenants.

    Raises:
        NotFound: there is no such key.
    """

    def work(c: Connection) -> ApiKey:
        before = keys.get(c, tenant, key_id)
        found = keys.revoke(c, tenant, key_id, now=now)
        if found is None or before is None:
            raise NotFound
        noted(act, c, key_id, before=_told(before), after=_told(found), tenant=found.tenant)
        return found

    return await db.write(work)


def _told(key: ApiKey) -> dict[str, Any]:
    """What the audit log tells of a key."""
    return plain(key, without=("last_used_at",))


def _with_secret(key: ApiKey) -> NewKey:
    secret = make_key(PUBLIC_KIND if PUBLIC_SCOPE in key.scopes else KIND)
    return NewKey(key=replace(key, last_four=secret[-4:]), secret=secret)


def _faults(*, tenant: str, name: str, scopes: Collection[str]) -> list[dict[str, str]]:
    errors = [
        {"pointer": f"/scopes/{index}", "detail": f"Known scopes: {', '.join(SCOPES)}."}
        for index, scope in enumerate(scopes)
        if scope not in SCOPES
    ]
    if not scopes:
        errors.append({"pointer": "/scopes", "detail": f"Choose from: {', '.join(SCOPES)}."})
    if PUBLIC_SCOPE in scopes and (set(scopes) != {PUBLIC_SCOPE} or tenant == OPERATOR):
        detail = f"{PUBLIC_SCOPE} stands alone, and belongs to one tenant."
        errors.append({"pointer": "/scopes", "detail": detail})
    if not 1 <= len(name.strip()) <= LONGEST_NAME:
        errors.append({"pointer": "/name", "detail": f"Use 1 to {LONGEST_NAME} characters."})
    if not tenant:
        errors.append({"pointer": "/tenant", "detail": "Name a tenant, or * for all."})
    return errors


def _faults_of(bounds: Bounds, scopes: Collection[str]) -> list[dict[str, str]]:
    errors = []
    if bounds.voices is not None and (bounds.voices < 0 or PUBLIC_SCOPE in scopes):
        detail = "voices is 0 or more; a public key has a bound of its own."
        errors.append({"pointer": "/voices", "detail": detail})
    for index, network in enumerate(bounds.networks):
        try:
            ip_network(network)
        except ValueError:
            detail = f"{network} is not a network, such as 10.0.0.0/8 or 2001:db8::/32."
            errors.append({"pointer": f"/networks/{index}", "detail": detail})
    if not all(location.strip() for location in bounds.locations):
        errors.append({"pointer": "/locations", "detail": "A location has a name."})
    return errors


def _make(
    *,
    tenant: str,
    grants: tuple[str, ...],
    name: str,
    scopes: Collection[str],
    now: datetime,
    expires_in: timedelta | None,
    bounds: Bounds,
) -> NewKey:
    identity = new_id("key")
    key = ApiKey(
        id=identity,
        tenant=tenant,
        name=name.strip(),
        scopes=frozenset(scopes),
        last_four="",
        created_at=now,
        expires_at=None if expires_in is None else now + expires_in,
        revoked_at=None,
        last_used_at=None,
        bounds=bounds,
        grants=grants,
        client=identity,
    )
    return _with_secret(key)
