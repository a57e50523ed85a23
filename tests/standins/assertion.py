"""Signed client assertions, checked as Entra checks them: certificates and federated tokens."""

import base64
import json
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SKEW_SECONDS = 300.0  # clocks that Entra forgives


def judge(
    form: dict[str, str],
    *,
    audience: str,
    client: str,
    certificates: list[x509.Certificate],
    subjects: frozenset[str],
    now: datetime,
) -> int:
    """Give Entra's number of what is wrong with an assertion, 0 for nothing."""
    if form.get("client_assertion_type") != BEARER:
        return 7000216
    try:
        head, claims = (_segment(form["client_assertion"], number) for number in (0, 1))
    except (ValueError, IndexError, KeyError):
        return 50027
    if head.get("alg") == "none" or "x5t#S256" not in head:
        return 0 if claims.get("sub") in subjects else 70021
    shown = base64.urlsafe_b64decode(head["x5t#S256"] + "==")
    found = next((c for c in certificates if c.fingerprint(hashes.SHA256()) == shown), None)
    if found is None or not _signed(form["client_assertion"], found):
        return 700027
    if claims.get("aud") != audience or {claims.get("iss"), claims.get("sub")} != {client}:
        return 700023
    at = now.timestamp()
    begins = claims.get("nbf", claims.get("iat", at))
    if not begins - SKEW_SECONDS <= at <= claims["exp"] + SKEW_SECONDS:
        return 700024
    return 0


def _segment(token: str, number: int) -> dict[str, Any]:
    part = token.split(".")[number]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def _signed(token: str, certificate: x509.Certificate) -> bool:
    text, _, signature = token.rpartition(".")
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        return False
    raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    scheme = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)
    try:
        key.verify(raw, text.encode(), scheme, hashes.SHA256())
    except InvalidSignature:
        return False
    return True
