"""Texts for fields of an instance: plain and harmless; and values of its queries."""

import re

_CODE = re.compile(r"\[(/?)\s*code\s*\]", re.IGNORECASE)
_CONTROL = {n: None for n in range(32) if n not in (9, 10, 13)}
_CARET = "^"


def plain(text: str) -> str:
    """Take what could run: control characters, and ``[code]``, which journals render as HTML."""
    return _CODE.sub(r"[\1c0de]", text.translate(_CONTROL))


def value(text: str) -> str:
    """A value that may stand in an encoded query.

    Raises:
        ValueError: it would end the condition that it stands in.
    """
    if _CARET in text or "\n" in text:
        raise ValueError("a value of a query holds no caret")
    return text
