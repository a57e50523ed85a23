"""Derived ids: sortable by time, and the same whenever they are derived again."""

import hashlib
from datetime import datetime


def derived(*parts: str, size: int = 8) -> str:
    """Digest of parts as hexadecimal digits; ``size`` in bytes."""
    text = "\x1f".join(parts)
    return hashlib.blake2b(text.encode(), digest_size=size).hexdigest()


def derived_id(prefix: str, at: datetime, *parts: str) -> str:
    """An id of a prefix, 48 bits of milliseconds of ``at`` and 64 bits of a digest of ``parts``."""
    return f"{prefix}_{int(at.timestamp() * 1000):012x}{derived(*parts)}"
