"""Ids: sortable, prefixed, random; derived ids are made in the core."""

import os
import secrets
import time

CHANCE_BYTES = 8
DRAWN_AT_ONCE = 256  # a call into the kernel for each id would cost more than all else of it

_drawn: list[str] = []  # hex of chance that is used up by popping, which threads may do
os.register_at_fork(after_in_child=_drawn.clear)  # a child draws its own


def new_id(prefix: str) -> str:
    """Make a random id that sorts by time: prefix, 48 bits of milliseconds, 64 bits of chance."""
    try:
        chance = _drawn.pop()
    except IndexError:
        text = secrets.token_hex(CHANCE_BYTES * DRAWN_AT_ONCE)
        width = CHANCE_BYTES * 2
        chance, *rest = (text[i : i + width] for i in range(0, len(text), width))
        _drawn.extend(rest)
    return f"{prefix}_{time.time_ns() // 1_000_000:012x}{chance}"
