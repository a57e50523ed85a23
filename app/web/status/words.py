"""Plain words for the status page, made of closed lists: nothing of an incident's own text."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from app.core.errors import SettingsError
from app.core.incident import Incident
from app.core.types import Origin, Resolution, Severity, Status
from app.web.words import service_name

SHIPPED = ("en", "de")
FILE = "status.toml"  # an operator's own words, in the folder of the messages
FEWEST = 5  # people who are counted in public; fewer could be told who they are
BANDS = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
MANY_SERVICES = 3

IMPACT = {
    Severity.CRITICAL: "critical",
    Severity.MAJOR: "major",
    Severity.MINOR: "minor",
    Severity.WARNING: "minor",
    Severity.INFO: "none",
    Severity.UNKNOWN: "minor",  # unknown is never harmless
}
PHASE_OF = {
    Status.MITIGATING: "identified",
    Status.MONITORING: "monitoring",
    Status.RESOLVED: "resolved",
    Status.CLOSED: "resolved",
    Status.DISMISSED: "resolved",
}
# Why our own sign-in fails may be an attack, of which nothing is said in public.
SECRET_CAUSES = {Origin.IDENTITY}


@dataclass(frozen=True, slots=True)
class Words:
    """What a status page says in one language: table → word of the model → words of people."""

    language: str
    tables: Mapping[str, Mapping[str, Any]]

    def say(self, word: str, table: str = "page", **values: object) -> str:
        """The words for one word of the model, filled with values."""
        found = str(self.tables[table][word])
        return found.format(**values) if values else found

    def listed(self, shown: Sequence[str]) -> str:
        """Join as a sentence does: ``a, b and c``."""
        joint = self.say("and", "language")
        return f"{', '.join(shown[:-1])}{joint}{shown[-1]}" if len(shown) > 1 else "".join(shown)

    def count(self, number: int) -> str:
        """A number with its thousands marked."""
        return f"{number:,}".replace(",", self.say("thousands", "language"))

    def spoken(self, at: datetime) -> str:
        """An instant as a page tells it when no script runs."""
        return self._moment(at, "moment")

    def briefly(self, at: datetime, now: datetime) -> str:
        """The same in short: without the date where that is today's."""
        return f"{at:%H:%M} UTC" if at.date() == now.date() else self.stamped(at)

    def stamped(self, at: datetime) -> str:
        """An instant in short, always with its date."""
        return self._moment(at, "short")

    def _moment(self, at: datetime, form: str) -> str:
        at = at.astimezone(UTC)
        month = self.tables["language"]["months"][at.month - 1]
        return self.say(form, "language", day=at.day, month=month, year=at.year,
                        time=f"{at:%H:%M}")  # fmt: skip

    def title_of(self, incident: Incident) -> str:
        """Name an incident by its services and by what people meet."""
        names = [service_name(slug) for slug in incident.services]
        many = len(names) > MANY_SERVICES
        where = self.say("several", "title") if many else self.listed(names)
        if incident.origin is Origin.LOCAL:
            return self.say("local", "title", where=where or self.say("services", "title"))
        met = dict.fromkeys(self._met(symptom.value) for symptom in incident.symptoms)
        what = self.listed(list(met)[:3])
        if not what:
            what = self.say("reported" if incident.advisories else "problem", "title")
        return self.say("whole", "title", where=where or "Microsoft 365", what=what)

    def _met(self, symptom: str) -> str:
        return self.say(symptom if symptom in self.tables["meets"] else "other", "meets")

    def summary_of(self, incident: Incident) -> str:
        """Say who is affected and whose fault it is, without a figure that could point at one."""
        if incident.resolution in {Resolution.FALSE_POSITIVE, Resolution.NOT_OURS}:
            return ""
        over = incident.status in {Status.RESOLVED, Status.CLOSED}
        parts = [self.say(incident.impact.level.value, "reached" if over else "reach")]
        count = banded(incident.impact.reporters)
        if count:
            parts.append(self.say("reporters", "told", count=self.count(count)))
        origin = Origin.UNKNOWN if incident.origin in SECRET_CAUSES else incident.origin
        parts.append(self.say(origin.value, "caused" if over else "cause"))
        return " ".join(parts)

    def told(self, kind: str, incident: Incident, *, again: bool) -> str:
        """What an event of the lifecycle says; ``again`` when it was confirmed before."""
        name = kind.removeprefix("incident.")
        if name == "confirmed" and again:
            return self.say("still", "told")
        ended = self.tables["ended"]
        if name in {"resolved", "dismissed"} and str(incident.resolution) in ended:
            return self.say(str(incident.resolution), "ended")
        return self.say("confirmed" if name == "opened" else name, "told")

    def work_name(self, services: Iterable[str]) -> str:
        """Name planned work by its services."""
        names = [service_name(slug) for slug in services]
        planned = self.say("planned", "title")
        return f"{planned}: {self.listed(names)}" if names else planned

    @property
    def age(self) -> Mapping[str, str]:
        """The words in which a script tells the age of the page."""
        return self.tables["age"]


def banded(people: int) -> int:
    """The number of people as far as it is told in public: the band it reaches, 0 for none."""
    return max((band for band in BANDS if band <= people), default=0)


@cache
def read_words(language: str, folder: Path | None = None) -> Words:
    """Read a language: shipped, an operator's own, or an operator's words over shipped ones.

    Raises:
        SettingsError: there is no such language, its file cannot be read, or words are missing.
    """
    base = _shipped(language) if language in SHIPPED else {}
    own = None if folder is None else folder / language / FILE
    over = {} if own is None or not own.is_file() else _parsed(own)
    if not base and not over:
        where = "the folder of [messages]" if folder is None else str(folder)
        raise SettingsError(
            f'tenants.status: the language "{language}" is not shipped ({", ".join(SHIPPED)}) and '
            f"{where} has no {language}/{FILE}."
        )
    english = _shipped("en")
    tables = {name: {**base.get(name, {}), **over.get(name, {})} for name in english}
    missing = [f"{name}.{word}" for name in english for word in english[name]
               if word not in tables[name]]  # fmt: skip
    if missing:
        raise SettingsError(f"tenants.status: {own} lacks {', '.join(missing[:5])}.")
    return Words(language, tables)


@cache
def _shipped(language: str) -> dict[str, dict[str, Any]]:
    place = files("app.web.status").joinpath("languages", f"{language}.toml")
    return tomllib.loads(place.read_text("utf-8"))


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"tenants.status: {path} cannot be read: {error}.") from error
