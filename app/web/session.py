"""Who looks: a signed cookie made from an API key, and the tokens that forms must carry."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from app.kit.egress import LOOPBACK
from app.store.keys import TOKEN, ApiKey

SESSION_COOKIE = "sextant_session"
SEED_COOKIE = "sextant_seed"
TENANT_COOKIE = "sextant_tenant"
SESSION_LIFE = timedelta(hours=12)  # one shift; then the key is entered again
ERRAND_LIFE = timedelta(minutes=10)  # a sign-in at a provider takes no longer
OPERATOR = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Who looks at the console. ``key_id`` is empty on an open console.

    ``choices`` are (id, name) of the tenants that may be looked at. ``outside`` the tenant is an
    operator, who sees no group of it under five people. ``scopes`` is what else may be done.
    """

    tenant: str
    tenant_name: str
    name: str
    key_id: str
    may_write: bool
    choices: tuple[tuple[str, str], ...]
    outside: bool = False
    scopes: frozenset[str] = frozenset({"admin"})

    def may(self, scope: str) -> bool:
        """Whether a scope, such as that of subscriptions, is held in the tenant looked at."""
        return "admin" in self.scopes or scope in self.scopes


def _mac(secret: bytes, purpose: str, text: str) -> str:
    # The instance's secret signs cursors too; the purpose keeps the uses apart.
    key = hmac.digest(secret, b"sextant-console-" + purpose.encode(), hashlib.sha256)
    whole = hmac.digest(key, text.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(whole).decode().rstrip("=")


def seal(secret: bytes, key_id: str, *, now: datetime) -> str:
    """Make the session cookie of a key."""
    return _seal(secret, "session", key_id, now + SESSION_LIFE)


def unseal(secret: bytes, cookie: str | None, *, now: datetime) -> str | None:
    """Read the key id out of a session cookie; None when it is not ours or is over."""
    found = _unseal(secret, "session", cookie, now)
    return None if found is None else str(found[0])


def seal_person(secret: bytes, person: ApiKey, *, now: datetime) -> str:
    """Make the session cookie of somebody who signed in at a provider: what was granted then."""
    facts = {
        "id": person.id,
        "name": person.name,
        "tenant": person.tenant,
        "scopes": sorted(person.scopes),
        "grants": list(person.grants),
        "in_tenant": [[tenant, sorted(scopes)] for tenant, scopes in person.in_tenant],
    }
    return _seal(secret, "person", facts, now + SESSION_LIFE)


def unseal_person(secret: bytes, cookie: str | None, *, now: datetime) -> ApiKey | None:
    """Read who signed in out of a session cookie; None when it is not ours or is over."""
    found = _unseal(secret, "person", cookie, now)
    if found is None:
        return None
    facts, until = found
    ends = datetime.fromtimestamp(until, UTC)
    return ApiKey(
        id=facts["id"],
        tenant=facts["tenant"],
        name=facts["name"],
        scopes=frozenset(facts["scopes"]),
        last_four="",
        created_at=ends - SESSION_LIFE,
        expires_at=ends,
        revoked_at=None,
        last_used_at=None,
        grants=tuple(facts["grants"]),
        in_tenant=tuple((tenant, frozenset(scopes)) for tenant, scopes in facts["in_tenant"]),
        kind=TOKEN,
    )


def seal_errand(secret: bytes, errand: list[str], *, now: datetime) -> str:
    """Make the cookie that a browser takes along to a provider and brings back."""
    return _seal(secret, "errand", errand, now + ERRAND_LIFE)


def unseal_errand(secret: bytes, cookie: str | None, *, now: datetime) -> list[str] | None:
    """Read that cookie; None when it is not ours or is over."""
    found = _unseal(secret, "errand", cookie, now)
    return None if found is None else found[0]


def _seal(secret: bytes, purpose: str, facts: Any, until: datetime) -> str:
    body = json.dumps([facts, int(until.timestamp())], separators=(",", ":"))
    text = base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")
    return f"{text}.{_mac(secret, purpose, text)}"


def _unseal(
    secret: bytes, purpose: str, cookie: str | None, now: datetime
) -> tuple[Any, int] | None:
    text, _, tag = (cookie or "").partition(".")
    if not text or not hmac.compare_digest(tag.encode(), _mac(secret, purpose, text).encode()):
        return None
    facts, until = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return (facts, until) if now.timestamp() < until else None


def form_token(secret: bytes, seed: str) -> str:
    """Make the token that a form carries; it belongs to the seed in the browser's cookie."""
    return _mac(secret, "form", seed)


def is_form_token(secret: bytes, seed: str | None, token: str | None) -> bool:
    """Whether a form came from a page that we gave to this browser."""
    if not seed or not token:
        return False
    return hmac.compare_digest(form_token(secret, seed).encode(), token.encode())


def host_is_ours(host: str, public_url: str) -> bool:
    """Whether a Host header names this machine; refuses a name that was rebound to loopback."""
    name = urlsplit(f"//{host}").hostname or ""
    return name in LOOPBACK or name == urlsplit(public_url).hostname


def is_own_path(path: str) -> bool:
    """Whether a path to return to after signing in is one of ours, and not another site."""
    return path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
