"""What the foreign formats share: reading JSON, texts, instants, and which service a host is."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec

from app.core.arrival import known_service
from app.core.catalogue import service_of_host
from app.core.errors import UnreadablePayload
from app.core.foreign import Hints
from app.core.types import Client

JSON = frozenset({"application/json"})
NAME_LIMIT = 200  # characters of a probe's name
PLACE_LIMIT = 100  # characters of a location, feature or service
ERROR_LIMIT = 2_000  # characters of an error text that go on to be scrubbed and cut
RECORD_LIMIT = 10_000  # records of one body
SPOKEN_ON_CHANGE = timedelta(hours=24)  # how long the word of a monitor that repeats none stands
FIRST_YEAR = 1970  # an instant before it means "none" in these formats

_decode = msgspec.json.Decoder().decode
_decode_lines = msgspec.json.Decoder().decode_lines


def decode(body: bytes) -> Any:
    """Read JSON.

    Raises:
        UnreadablePayload: it is none.
    """
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadablePayload(_why(error)) from error


def decode_lines(body: bytes) -> list[Any]:
    """Read JSON values on lines, or one value over several lines.

    Raises:
        UnreadablePayload: it is neither.
    """
    try:
        found: list[Any] = _decode_lines(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadablePayload(_why(error)) from error
    if not found:
        raise UnreadablePayload("The body is empty.")
    return found


def _why(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "The JSON is nested too deeply."
    return f"The body is no JSON: {str(error)[:200]}."


def records(value: Any) -> Iterator[tuple[int, Mapping[str, Any] | None]]:
    """The objects of a value that is one or a list of them; None for what is no object.

    Raises:
        UnreadablePayload: it is neither, or holds too many.
    """
    many = value if isinstance(value, list) else [value]
    if not isinstance(value, dict | list):
        raise UnreadablePayload("The body must be an object or an array of objects.")
    if len(many) > RECORD_LIMIT:
        raise UnreadablePayload(f"The body holds more than {RECORD_LIMIT:,} records.")
    for index, one in enumerate(many):
        yield index, one if isinstance(one, dict) else None


def table(value: Any) -> Mapping[str, Any]:
    """A member that should be an object; an empty one where it is none."""
    return value if isinstance(value, dict) else {}


def rows(value: Any) -> list[Any]:
    """A member that should be a list; an empty one where it is none."""
    return value if isinstance(value, list) else []


def word(value: Any, limit: int = NAME_LIMIT) -> str | None:
    """A short text or number as one printable line; None for anything else and for nothing."""
    if not isinstance(value, str):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        value = str(value)
    line = " ".join(value.split())
    if not line.isprintable():  # rarely; and letter by letter it takes twenty times as long
        line = "".join(sign for sign in line if sign.isprintable())
    return line[:limit] or None


def first(*values: Any, limit: int = NAME_LIMIT) -> str | None:
    """The first of several members that holds a word."""
    return next((found for value in values if (found := word(value, limit))), None)


def error_text(*values: Any) -> str | None:
    """Several texts as one error text."""
    texts = [found for value in values if (found := word(value, ERROR_LIMIT))]
    return ": ".join(dict.fromkeys(texts))[:ERROR_LIMIT] or None


def instant(value: Any) -> str | None:
    """An instant as RFC 3339: from text (UTC where it names no zone) or seconds since 1970."""
    found: datetime | None = None
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            found = datetime.fromtimestamp(value, UTC)
        elif isinstance(value, str) and value:
            found = datetime.fromisoformat(value)
    except (ValueError, OverflowError, OSError):
        return None
    if found is None or found.year < FIRST_YEAR:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()


def status_of(value: Any) -> int | None:
    """An HTTP status from a number or its text; None for what is none."""
    text = word(value, 4) or ""
    number = int(text) if text.isascii() and text.isdigit() else 0
    return number if 100 <= number <= 599 else None  # noqa: PLR2004 - the range of RFC 9110


def milliseconds(value: Any, scale: float = 1.0) -> float | None:
    """A duration times ``scale`` in milliseconds; None for what is none or out of range."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    found = float(value) * scale
    return round(found, 3) if 0 <= found <= 86_400_000 else None  # noqa: PLR2004 - a day


def service_for(hints: Hints, *, named: Any = None, target: Any = None) -> str | None:
    """The service: what the address says, what the record names, or whose host the target is.

    A name that we do not know is passed over: other programs call many things a service.
    """
    stated = word(named, PLACE_LIMIT)
    known = known_service(stated) if stated else None
    return hints.service or known or service_of_host(host_of(target))


def host_of(target: Any) -> str:
    """The host of an address or of ``host:port``, in lower case; empty where there is none."""
    text = word(target, ERROR_LIMIT) or ""
    try:
        return (urlsplit(text if "//" in text else f"//{text}").hostname or "").rstrip(".")
    except ValueError:
        return ""


# Which program a user agent names, the first that fits; from the agents that the vendor documents
# and that logs show. An agent of a browser says only that it is one.
AGENTS = (
    ("Outlook-iOS", Client.OUTLOOK_MOBILE),
    ("Outlook-Android", Client.OUTLOOK_MOBILE),
    ("ActiveSync", Client.ACTIVESYNC),
    ("Apple-iPhone", Client.ACTIVESYNC),
    ("MacOutlook", Client.OUTLOOK_DESKTOP),
    ("Microsoft Outlook", Client.OUTLOOK_DESKTOP),
    ("Microsoft Office", Client.OUTLOOK_DESKTOP),
    ("ExchangeServicesClient", Client.EWS),
    ("Teams/", Client.TEAMS_DESKTOP),
    ("Mozilla/", Client.BROWSER),
)


def client_of(agent: str | None, target: Any) -> str | None:
    """The kind of program by its user agent and by what it reached for; None where nothing says."""
    found = next((client for name, client in AGENTS if agent and name in agent), None)
    if found is Client.BROWSER:
        host = host_of(target)
        if host.startswith("outlook."):
            return Client.OUTLOOK_WEB.value
        if host.startswith("teams."):
            return Client.TEAMS_WEB.value
    return None if found is None else found.value


def quoted(text: str) -> str:
    """A text as JSON."""
    return msgspec.json.encode(text).decode()
