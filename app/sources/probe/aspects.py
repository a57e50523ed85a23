"""Aspects of an answer: what of it stays the same from run to run while a service is well. Pure."""

import hashlib
import json
import re
from urllib.parse import urljoin, urlsplit

from app.clients.dial import Answer
from app.clients.mail import Greeting
from app.core.signature import WORD_LIMIT

# Words of a banner that differ each time: numbers, host names with numbers, dates, [ids].
_VOLATILE = re.compile(r"\[[^\]]*\]|<[^>]*>|\S*\d\S*|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? .*")
_PARAMETER = re.compile(r'([A-Za-z_]+)="([^"]*)"')


def of_answer(url: str, answer: Answer, issuer: str | None) -> dict[str, str]:
    """The aspects of an HTTP answer: status, media type, where it leads, its challenge and more."""
    found = {"status": str(answer.status)}
    media = (answer.header("content-type") or "").partition(";")[0].strip().lower()
    if media:
        found["type"] = media
    location = answer.header("location")
    if location:
        found["location"] = _place(url, location)
    offered = answer.values("www-authenticate")
    if offered:
        found["challenge"] = " | ".join(sorted(_challenge(value) for value in offered))
    keys = _keys(answer.body) if media.endswith("json") else None
    if keys:
        found["keys"] = keys
    if issuer:
        found["issuer"] = issuer
    found["headers"] = " ".join(sorted({name for name, _ in answer.headers}))
    return {aspect: _bounded(value) for aspect, value in found.items()}


def of_greeting(greeting: Greeting) -> dict[str, str]:
    """The aspects of a mail door: its banner without what changes, what it offers, its issuer."""
    found = {"banner": " ".join(_VOLATILE.sub(" ", greeting.banner).split())}
    if greeting.offers:
        found["offers"] = " ".join(greeting.offers)
    if greeting.issuer:
        found["issuer"] = greeting.issuer
    return {aspect: _bounded(value) for aspect, value in found.items()}


def _place(url: str, location: str) -> str:
    try:
        parts = urlsplit(urljoin(url, location))
    except ValueError:
        return "no address"
    return f"{parts.hostname or ''}{parts.path}".lower()


def _challenge(value: str) -> str:
    """The scheme, the names of its parameters, and the application it names."""
    scheme = value.split(maxsplit=1)[0] if value.strip() else ""
    given = dict(_PARAMETER.findall(value))
    named = f" client_id={given['client_id']}" if "client_id" in given else ""
    return f"{scheme}{named} {' '.join(sorted(given))}".strip()


def _keys(body: bytes) -> str | None:
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return " ".join(sorted(document)) if isinstance(document, dict) else type(document).__name__


def _bounded(value: str) -> str:
    """A value of bounded length that still differs when the whole does; printable."""
    clean = "".join(letter if letter.isprintable() else " " for letter in value)
    if len(clean) <= WORD_LIMIT:
        return clean
    digest = hashlib.blake2b(clean.encode(), digest_size=4).hexdigest()
    return f"{clean[: WORD_LIMIT - 12]}… {digest}"
