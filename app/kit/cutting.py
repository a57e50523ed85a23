"""Cutting texts to a length where a reader would cut them: never within a grapheme."""

import unicodedata

ELLIPSIS = "…"
_JOINERS = {"\u200d"}


def cut(text: str, longest: int, *, tail: str = "") -> str:
    """Cut a text to so many characters, never within a grapheme, and keep ``tail`` at its end.

    Lengths are counted in UTF-16 units, as ServiceNow, Slack and browsers count them.
    """
    room = longest - units(tail)
    if units(text) <= room:
        return text + tail
    kept, used = [], units(ELLIPSIS)
    for cluster in _clusters(text[: room + 1]):  # each has at least one unit
        used += units(cluster)
        if used > room:
            break
        kept.append(cluster)
    return "".join(kept).rstrip() + ELLIPSIS + tail


def units(text: str) -> int:
    """How long a text is in UTF-16 units."""
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
