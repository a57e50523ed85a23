"""Instants and spans as words: always UTC, with a hint of how long ago."""

from datetime import UTC, datetime

MINUTE = 60
HOUR = 3600
DAY = 86_400


def instant(value: str | datetime | None) -> datetime | None:
    """Read an RFC 3339 instant of a document; None stays None."""
    if value is None or isinstance(value, datetime):
        return value
    found = datetime.fromisoformat(value)
    return found if found.tzinfo is UTC else found.astimezone(UTC)  # a page reads thousands


def iso(at: datetime) -> str:
    """Write an instant for a ``datetime`` attribute."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def hour_minute(at: datetime) -> str:
    """Write the time of day, UTC."""
    return at.astimezone(UTC).strftime("%H:%M")


def stamp(at: datetime) -> str:
    """Write date and time to the second, UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def near(at: datetime, now: datetime) -> str:
    """Write the time of day, with its date when that is not today's."""
    if at.date() == now.date():
        return hour_minute(at)
    form = "%-d %b %H:%M" if at.year == now.year else "%-d %b %Y %H:%M"
    return at.astimezone(UTC).strftime(form)


def span(seconds: float) -> str:
    """Write a length of time in at most two units; the sign is dropped."""
    whole = abs(round(seconds))
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min"
    if whole < DAY:
        hours, rest = divmod(whole, HOUR)
        minutes = rest // MINUTE
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, rest = divmod(whole, DAY)
    hours = rest // HOUR
    return f"{days} d {hours} h" if hours else f"{days} d"


def ago(at: datetime, now: datetime) -> str:
    """Say how long before ``now`` an instant was, or how far ahead it lies."""
    seconds = (now - at).total_seconds()
    if seconds < -1:
        return f"in {span(seconds)}"
    return "just now" if seconds < 5 else f"{span(seconds)} ago"  # noqa: PLR2004 - as people say
