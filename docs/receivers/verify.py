"""Verify a webhook of Sextant (Standard Webhooks 1.0). Copy this file; v1 needs only Python 3.9."""

import base64
import binascii
import hashlib
import hmac
import time


class BadSignature(Exception):
    """The one exception for everything that is not a genuine, timely message."""


def verify(key, headers, body, tolerance=300, now=None):
    """Check a message and give its id.

    ``key`` is the ``whsec_...`` secret of the subscription, or its ``whpk_...`` public key (v1a,
    which needs the package cryptography). ``body`` is the raw bytes, before any parsing.
    """
    named = {str(name).lower(): str(value) for name, value in dict(headers).items()}
    identity, stamp = named.get("webhook-id", ""), named.get("webhook-timestamp", "")
    well_formed = stamp.isascii() and stamp.isdigit() and len(stamp) < 13
    if not identity or "." in identity or not well_formed:
        raise BadSignature("a header is missing or malformed")
    if abs((time.time() if now is None else now) - int(stamp)) > tolerance:
        raise BadSignature("too old or too new")
    try:
        signed = f"{identity}.{stamp}.".encode() + body
    except UnicodeEncodeError:
        raise BadSignature("the id is malformed") from None
    fits = _public(key, signed) if key.startswith("whpk_") else _secret(key, signed)
    matched = False
    for part in named.get("webhook-signature", "").split(" ")[:16]:
        version, _, text = part.partition(",")
        try:
            signature = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            continue
        matched |= fits(version, signature)
    if not matched:
        raise BadSignature("no signature matches")
    return identity


def _secret(key, signed):
    raw = base64.b64decode(key.removeprefix("whsec_"), validate=True)
    expected = hmac.digest(raw, signed, hashlib.sha256)
    return lambda version, given: version == "v1" and hmac.compare_digest(given, expected)


def _public(key, signed):
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.removeprefix("whpk_")))

    def fits(version, given):
        try:
            public.verify(given, signed)
        except InvalidSignature:
            return False
        return version == "v1a"

    return fits
