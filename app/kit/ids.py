"""Ids: sortable, prefixed, random; derived ids are made in the core."""

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32, lower case


def base32(number: int, length: int) -> str:
    """Write a number in Crockford base 32, padded with zeros to ``length`` digits."""
    digits = []
    for _ in range(length):
        number, rest = divmod(number, 32)
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits))


def new_id(prefix: str) -> str:
    """Make a random id that sorts by time: prefix, 48 bits of milliseconds, 60 bits of chance."""
    return f"{prefix}_{base32(time.time_ns() // 1_000_000, 10)}{base32(secrets.randbits(60), 12)}"
