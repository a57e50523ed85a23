"""Ids: sortable, prefixed, random; derived ids are made in the core."""

import secrets
import time


def new_id(prefix: str) -> str:
    """Make a random id that sorts by time: prefix, 48 bits of milliseconds, 64 bits of chance."""
    return f"{prefix}_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(8)}"
