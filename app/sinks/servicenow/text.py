"""Texts for fields of an instance: plain, harmless, and cut where a reader would cut them."""

import re
import unicodedata

ELLIPSIS = "…"
_JOINERS = {"\u200d"}
_CODE = re.compile(r"\[(/?)\s*code\s*\]", re.IGNORECASE)
_CONTROL = {n: None for n in range(32) if n not in (9, 10, 13)}
_CARET = "^"


def plain(text: str) -> str:
    """Take what could run: control characters, and ``[code]``, which journals render as HTML."""
    return _CODE.sub(r"[\1c0de]", text.translate(_CONTROL))


def cut(text: str, longest: int, *, tail: str = "") -> str:
    """Cut a text to so many characters, never within a grapheme, and keep ``tail`` at its end.

    Lengths are counted in UTF-16 units, as an instance counts them.
    """
    room = longest - units(tail)
    if units(text) <= room:
        return text + tail
    kept, used = [], units(ELLIPSIS)
    for cluster in _clusters(text):
        used += units(cluster)
        if used > room:
            break
        kept.append(cluster)
    return "".join(kept).rstrip() + ELLIPSIS + tail


def units(text: str) -> int:
    """How long a text is for the instance."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _clusters(text: str) -> list[str]:
    """Characters with what belongs to them: marks, joiners, variation selectors, skin tones."""
    found: list[str] = []
    for sign in text:
        follows = found and (
            unicodedata.combining(sign)
            or unicodedata.category(sign) in {"Mn", "Me", "Mc"}
            or sign in _JOINERS
            or "\U0001f3fb" <= sign <= "\U0001f3ff"
            or found[-1][-1] in _JOINERS
            or _flag(found[-1], sign)
        )
        if follows:
            found[-1] += sign
        else:
            found.append(sign)
    return found


def _flag(before: str, sign: str) -> bool:
    letters = ("\U0001f1e6", "\U0001f1ff")
    return len(before) == 1 and all(letters[0] <= s <= letters[1] for s in (before, sign))


def value(text: str) -> str:
    """A value that may stand in an encoded query.

    Raises:
        ValueError: it would end the condition that it stands in.
    """
    if _CARET in text or "\n" in text:
        raise ValueError("a value of a query holds no caret")
    return text
