"""The words of one language: closed values of the model to what people say, from ``words.toml``."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

from app.core.catalogue import display_name
from app.core.errors import SettingsError
from app.core.message import Mark

SHIPPED = ("en", "de")
FILE = "words.toml"
MINUTES_OF_AN_HOUR = 60
HOURS_OF_A_DAY = 24


class BadTemplate(Exception):  # noqa: N818 - a condition, named as what it is
    """Raised when a template cannot be read or filled; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Words:
    """One language: table → word of the model → words of people."""

    language: str
    tables: Mapping[str, Mapping[str, Any]]

    def say(self, value: object, table: str) -> str:
        """The words for one value; empty for one that the language has none for."""
        found = self.tables[table].get(str(value))
        if found is None and table == "services":
            return display_name(str(value))
        return str(found or "")

    def each(self, values: Iterable[object], table: str) -> list[str]:
        """The words for several values, each once; those without words are left out."""
        return [w for w in dict.fromkeys(self.say(v, table) for v in values) if w]

    def listed(self, values: Iterable[object]) -> str:
        """Join as a sentence does: ``a, b and c``."""
        shown = [str(value) for value in values]
        joint = str(self.tables["language"]["and"])
        return f"{', '.join(shown[:-1])}{joint}{shown[-1]}" if len(shown) > 1 else "".join(shown)

    def moment(self, at: datetime) -> str:
        """An instant as people write it, in the zone that it carries."""
        told = self.tables["language"]
        return str(told["moment"]).format(
            day=at.day,
            month=told["months"][at.month - 1],
            time=f"{at:%H:%M}",
            zone=at.tzname() or "UTC",
        )

    def span(self, length: timedelta) -> str:
        """A length of time in the two units that matter; a negative one as its amount."""
        told = self.tables["language"]
        minutes = int(abs(length).total_seconds()) // MINUTES_OF_AN_HOUR
        days, rest = divmod(minutes, MINUTES_OF_AN_HOUR * HOURS_OF_A_DAY)
        hours, minutes = divmod(rest, MINUTES_OF_AN_HOUR)
        counted = [(days, "day"), (hours, "hour"), (minutes, "minute")]
        shown = [
            f"{number} {told[unit if number == 1 else unit + 's']}"
            for number, unit in counted
            if number
        ][:2]
        return self.listed(shown) or f"0 {told['minutes']}"

    def remark(self, mark: Mark) -> str:
        """The sentence of a mark."""
        facts = {**mark.facts, "service": self.say(mark.facts.get("service", ""), "services")}
        return self.say(mark.word, "marks").format_map(facts)

    def because(self, reason: tuple[str, Mapping[str, Any]]) -> str:
        """The sentence of one reason of a verdict on sign-ins."""
        word, facts = reason
        shown = {
            name: self.listed(self.each(value, "symptoms") if name == "symptoms" else value)
            if isinstance(value, tuple)
            else value
            for name, value in facts.items()
        }
        return self.say(word, "signin_reasons").format_map(shown)


def read_words(language: str, folder: Path | None) -> Words:
    """Read a language: shipped, an operator's own, or an operator's words over shipped ones.

    Raises:
        SettingsError: there is no such language, a file cannot be read, or words are missing; the
            text says which.
    """
    shipped = files("app.formats.messages").joinpath(language, FILE)
    own = None if folder is None else folder / language / FILE
    base = tomllib.loads(shipped.read_text("utf-8")) if language in SHIPPED else {}
    over = {} if own is None or not own.is_file() else _parse(own)
    if not base and not over:
        where = "the folder of [messages]" if folder is None else str(folder)
        raise SettingsError(
            f'messages: the language "{language}" is not shipped ({", ".join(SHIPPED)}) and '
            f"{where} has no {language}/{FILE}."
        )
    tables = {
        name: {**base.get(name, {}), **over.get(name, {})} for name in dict.fromkeys([*base, *over])
    }
    missing = _missing(tables)
    if missing:
        raise SettingsError(
            f"messages: {own} lacks {', '.join(missing[:5])}"
            + (f" and {len(missing) - 5} more." if len(missing) > 5 else ".")  # noqa: PLR2004 - shown
        )
    return Words(language, tables)


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"messages: {path} cannot be read: {error}.") from error


def _missing(tables: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Words that English has and this language has not."""
    shipped = files("app.formats.messages").joinpath("en", FILE)
    english = tomllib.loads(shipped.read_text("utf-8"))
    return [
        f"{table}.{word}"
        for table, words in english.items()
        for word in words
        if table != "services" and word not in tables.get(table, {})
    ]
