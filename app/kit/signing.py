"""Standard Webhooks 1.0: signatures v1 (HMAC-SHA256) and v1a (ed25519), made and checked.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

TOLERANCE = timedelta(seconds=300)  # how far a timestamp may be off, as the reference libraries
SECRET_BYTES = 32  # the specification asks for 24 to 64
_SECRET_RANGE = range(24, 65)
_ED25519_SECRET_SIZES = {32, 64}  # the seed, or the seed and the public key
_ED25519_PUBLIC_BYTES = 32
_MAX_SIGNATURES = 16  # more in one header is not an honest sender
_MAX_HEADER = 4096  # characters
KEPT_KEYS = 1024  # kept in memory as they are used


class BadSignature(Exception):  # noqa: N818 - a word of the field
    """Raised by ``verify`` for everything that is not a genuine, timely message."""


def new_secret(signing: str = "v1") -> str:
    """Make a secret: ``whsec_…`` for v1, ``whsk_…`` (seed and public key) for v1a."""
    if signing == "v1a":
        key = Ed25519PrivateKey.generate()
        return "whsk_" + _encode(key.private_bytes_raw() + key.public_key().public_bytes_raw())
    return "whsec_" + _encode(secrets.token_bytes(SECRET_BYTES))


def public_key(secret: str) -> str:
    """Give the ``whpk_…`` key that belongs to a ``whsk_…`` secret.

    Raises:
        ValueError: it is not such a secret.
    """
    return "whpk_" + _encode(_private_key(secret).public_key().public_bytes_raw())


def sign(secret: str, *, message_id: str, at: datetime, body: bytes) -> str:
    """Make one signature, ``v1,…`` or ``v1a,…`` as the secret's prefix says.

    Raises:
        ValueError: the secret cannot be used.
    """
    return _signature(secret, _content(message_id, str(seconds(at)), body))


def headers(keys: Sequence[str], *, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Make the three headers of one attempt; several secrets while one is being rotated."""
    timestamp = str(seconds(at))
    content = _content(message_id, timestamp, body)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join([_signature(key, content) for key in keys]),
    }


def verify(keys: Sequence[str], *, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
    """Check that a message was made with one of our keys, and lately; whatever comes in.

    Args:
        keys: ``whsec_…`` secrets and ``whpk_…`` public keys (or ``whsk_…``); any may match.
        headers: the request's headers, names in any case.
        body: the raw bytes of the body, before any parsing.
        now: the present instant, aware.

    Raises:
        BadSignature: and nothing else, unless one of the keys itself is malformed.
        ValueError: one of the keys is malformed.
    """
    lowered = {str(name).lower(): str(value) for name, value in headers.items()}
    message_id = lowered.get("webhook-id", "")
    timestamp = lowered.get("webhook-timestamp", "")
    given = lowered.get("webhook-signature", "")
    if not message_id or not timestamp or not given or len(given) > _MAX_HEADER:
        raise BadSignature("a header is missing or too long")
    _check_time(timestamp, now)
    try:
        content = _content(message_id, timestamp, body)
    except ValueError as error:
        raise BadSignature("the id cannot have been signed") from error
    candidates = [_split(part) for part in given.split(" ")[:_MAX_SIGNATURES]]
    # Every key is tried against every candidate, so that time tells nothing.
    results = [
        _matches(key, version, signature, content)
        for key in keys
        for version, signature in candidates
    ]
    if not any(results):
        raise BadSignature("no signature matches")


def check_keys(keys: Sequence[str]) -> None:
    """See that keys can be verified with: ``whsec_…`` secrets and ``whpk_…`` public keys.

    Raises:
        ValueError: one is malformed.
    """
    for key in keys:
        if key.startswith("whpk_"):
            _public_key(key)
        elif key.startswith("whsec_"):
            _symmetric_key(key)
        else:
            raise ValueError("a secret begins with whsec_, a public key with whpk_")


def check_own(secret: str) -> None:
    """See that a secret can sign: ``whsec_…`` or ``whsk_…``.

    Raises:
        ValueError: it cannot.
    """
    if secret.startswith("whsk_"):
        _private_key(secret)
    else:
        check_keys([secret])


def seconds(at: datetime) -> int:
    """Unix seconds of an aware instant.

    Raises:
        ValueError: the instant is naive.
    """
    if at.tzinfo is None:
        raise ValueError("an instant without a time zone cannot be signed")
    return int(at.timestamp())


def _check_time(timestamp: str, now: datetime) -> None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):  # noqa: PLR2004
        raise BadSignature("the timestamp is not a number of seconds")
    try:
        at = datetime.fromtimestamp(int(timestamp), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise BadSignature("the timestamp is out of range") from error
    if abs(at - now) > TOLERANCE:
        raise BadSignature("the timestamp is too old or too new")


def _content(message_id: str, timestamp: str, body: bytes) -> bytes:
    # A dot in the id would let one message be read as another.
    if not message_id or "." in message_id:
        raise ValueError("a message id is not empty and holds no dot")
    return message_id.encode("utf-8") + b"." + timestamp.encode("ascii") + b"." + body


def _signature(secret: str, content: bytes) -> str:
    if secret.startswith("whsk_"):
        return "v1a," + _encode(_private_key(secret).sign(content))
    keyed = _keyed(secret).copy()  # to take in the key costs as much as a short body
    keyed.update(content)
    return "v1," + _encode(keyed.digest())


def _split(part: str) -> tuple[str, bytes]:
    version, _, text = part.partition(",")
    try:
        return version, base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return "", b""


def _matches(key: str, version: str, signature: bytes, content: bytes) -> bool:
    if key.startswith(("whpk_", "whsk_")):
        public = _public_key(key)
        if version != "v1a":
            return False
        try:
            public.verify(signature, content)
        except InvalidSignature:
            return False
        return True
    expected = hmac.digest(_symmetric_key(key), content, hashlib.sha256)
    return hmac.compare_digest(expected, signature) and version == "v1"


# A sender has few keys and uses each again and again; a malformed one raises each time.


@lru_cache(KEPT_KEYS)
def _symmetric_key(secret: str) -> bytes:
    raw = _decode(secret.removeprefix("whsec_"))
    if len(raw) not in _SECRET_RANGE:
        raise ValueError("a v1 secret has 24 to 64 bytes")
    return raw


@lru_cache(KEPT_KEYS)
def _keyed(secret: str) -> hmac.HMAC:
    return hmac.new(_symmetric_key(secret), digestmod=hashlib.sha256)


@lru_cache(KEPT_KEYS)
def _private_key(secret: str) -> Ed25519PrivateKey:
    raw = _decode(secret.removeprefix("whsk_"))
    if not secret.startswith("whsk_") or len(raw) not in _ED25519_SECRET_SIZES:
        raise ValueError("a v1a secret is whsk_ and 32 or 64 bytes")
    return Ed25519PrivateKey.from_private_bytes(raw[:32])


def _public_key(key: str) -> Ed25519PublicKey:
    if key.startswith("whsk_"):
        return _private_key(key).public_key()
    raw = _decode(key.removeprefix("whpk_"))
    if len(raw) != _ED25519_PUBLIC_BYTES:
        raise ValueError("a v1a public key is whpk_ and 32 bytes")
    return Ed25519PublicKey.from_public_bytes(raw)


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("a key is base64 after its prefix") from error
