"""API keys: made and revoked by the command line and by the API alike."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network

from sqlalchemy import Connection

from app.core.errors import InvalidInput, NotFound
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
) -> NewKey:
    """Make and store an API key; ``tenant`` is ``*`` for an operator's.

    Raises:
        InvalidInput: a scope is unknown, there is none, the name is empty or too long, or a bound
            cannot be meant.
    """
    errors = [*_faults(tenant=tenant, name=name, scopes=scopes), *_faults_of(bounds, scopes)]
    if errors:
        raise InvalidInput(errors[0]["detail"], errors=errors)
    made = _make(
        tenant=tenant, name=name, scopes=scopes, now=now, expires_in=expires_in, bounds=bounds
    )
    await db.write(lambda c: keys.create(c, made.key, digest=digest(made.secret)))
    return made


async def revoke(db: Database, *, tenant: str | None, key_id: str, now: datetime) -> ApiKey:
    """Revoke a key; ``tenant`` None reaches the keys of all tenants.

    Raises:
        NotFound: there is no such key.
    """

    def work(c: Connection) -> ApiKey | None:
        return keys.revoke(c, tenant, key_id, now=now)

    found = await db.write(work)
    if found is None:
        raise NotFound
    return found


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
    name: str,
    scopes: Collection[str],
    now: datetime,
    expires_in: timedelta | None,
    bounds: Bounds,
) -> NewKey:
    secret = make_key(PUBLIC_KIND if PUBLIC_SCOPE in scopes else KIND)
    key = ApiKey(
        id=new_id("key"),
        tenant=tenant,
        name=name.strip(),
        scopes=frozenset(scopes),
        last_four=secret[-4:],
        created_at=now,
        expires_at=None if expires_in is None else now + expires_in,
        revoked_at=None,
        last_used_at=None,
        bounds=bounds,
    )
    return NewKey(key=key, secret=secret)
