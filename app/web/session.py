"""Who looks: a signed cookie made from an API key, and the tokens that forms must carry."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

SESSION_COOKIE = "sextant_session"
SEED_COOKIE = "sextant_seed"
TENANT_COOKIE = "sextant_tenant"
SESSION_LIFE = timedelta(hours=12)  # one shift; then the key is entered again
OPERATOR = "*"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Who looks at the console. ``key_id`` is empty on an open console.

    ``choices`` are (id, name) of the tenants that may be looked at.
    """

    tenant: str
    tenant_name: str
    name: str
    key_id: str
    may_write: bool
    choices: tuple[tuple[str, str], ...]


def _mac(secret: bytes, purpose: str, text: str) -> str:
    # The instance's secret signs cursors too; the purpose keeps the uses apart.
    key = hmac.digest(secret, b"sextant-console-" + purpose.encode(), hashlib.sha256)
    whole = hmac.digest(key, text.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(whole).decode().rstrip("=")


def seal(secret: bytes, key_id: str, *, now: datetime) -> str:
    """Make the session cookie of a key."""
    body = json.dumps([key_id, int((now + SESSION_LIFE).timestamp())], separators=(",", ":"))
    text = base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")
    return f"{text}.{_mac(secret, 'session', text)}"


def unseal(secret: bytes, cookie: str | None, *, now: datetime) -> str | None:
    """Read the key id out of a session cookie; None when it is not ours or is over."""
    text, _, tag = (cookie or "").partition(".")
    if not text or not hmac.compare_digest(tag.encode(), _mac(secret, "session", text).encode()):
        return None
    body: Any = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    key_id, until = body
    return str(key_id) if now.timestamp() < until else None


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
