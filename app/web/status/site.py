"""The files of a status page, made from its view: the same live and exported."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.core.catalogue import SERVICES
from app.web.status import feeds, statuspage_v2
from app.web.status.settings import StatusSettings
from app.web.status.told import PublicIncident
from app.web.status.view import Component, StatusView
from app.web.templating import render, static_file
from app.web.times import iso, span

INDEX = "index.html"
FOLDER = "in/"  # what stands before another language
HTML = "text/html; charset=utf-8"
JSON = "application/json; charset=utf-8"
ATOM = "application/atom+xml; charset=utf-8"
ICS = "text/calendar; charset=utf-8"
CSS = "text/css; charset=utf-8"
SVG = "image/svg+xml"
OWN = {"status.css": CSS, "status.js": "text/javascript; charset=utf-8", "icon.svg": SVG}
NAMES = {service.slug: service.name for service in SERVICES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How the files are to be linked, and how old they may become.

    Attributes:
        live: whether a running Sextant serves them; else they are exported.
        root: what stands before the address of each file, seen from the index.
        address: the absolute address of the page, without a trailing slash; may be empty.
        made_at: when they are made, by the clock of the wall.
        renewed_seconds: how often they are renewed; None for never.
    """

    live: bool
    root: str
    address: str
    made_at: datetime
    renewed_seconds: float | None

    @property
    def suffix(self) -> str:
        """What the address of an incident's page ends in."""
        return "" if self.live else ".html"

    @property
    def stale_seconds(self) -> int:
        """The age from which a page says that it may be out of date."""
        return 900 if self.renewed_seconds is None else round(3 * self.renewed_seconds + 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A status page as files; ``views`` by language, the page's own first.

    The files of another language lie in a folder of their own, such as ``in/de/``.
    """

    views: Mapping[str, StatusView]
    settings: StatusSettings
    look: Look

    def names(self) -> Iterator[str]:
        """Every file, what others refer to before what refers to it; the index is the last."""
        yield from OWN
        yield "brand.css"
        if self.settings.logo is not None:
            yield self.settings.logo[0]
        for edition in reversed([self._edition(language) for language in self.views]):
            for one in edition.view.incidents:
                yield f"{edition.folder}incidents/{one.number}.html"
            for name in statuspage_v2.FILES:
                yield f"{edition.folder}api/v2/{name}"
            for name in ("summary.json", "feed.atom", "incidents.ics", "badge.svg", INDEX):
                yield f"{edition.folder}{name}"

    def file(self, name: str) -> tuple[str, bytes]:
        """The media type and the content of one file.

        Raises:
            KeyError: there is no such file.
        """
        logo = self.settings.logo
        if name in OWN:
            return OWN[name], static_file(name)
        if name == "brand.css":
            return CSS, self._brand().encode()
        if logo is not None and name == logo[0]:
            return logo[1], logo[2]
        language, plain = split(name)
        edition = self._edition(language or next(iter(self.views)))
        if language and not edition.folder:
            raise KeyError(name)  # the page's own language has no second address
        media, content = edition.file(plain)
        return media, content.encode()

    def _edition(self, language: str) -> "Edition":
        own = language == next(iter(self.views))
        folder = "" if own else f"{FOLDER}{language}/"
        return Edition(site=self, view=self.views[language], folder=folder)

    def _brand(self) -> str:
        return f":root {{ --brand: {self.settings.colour}; --brand-ink: {self.settings.ink}; }}\n"


def split(name: str) -> tuple[str, str]:
    """The language whose folder a file lies in, empty for the page's own; and its name there."""
    if not name.startswith(FOLDER):
        return "", name
    language, _, rest = name.removeprefix(FOLDER).partition("/")
    return language, rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """A status page in one language."""

    site: Site
    view: StatusView
    folder: str

    def file(self, name: str) -> tuple[str, str]:
        """The media type and the text of one file, by its name within the folder.

        Raises:
            KeyError: there is no such file.
        """
        look = self.site.look
        address, suffix = look.address, look.suffix
        if address and self.folder:
            address = f"{address}/{self.folder.rstrip('/')}"
        makers: dict[str, tuple[str, Callable[[], str]]] = {
            INDEX: (HTML, self._index),
            "feed.atom": (ATOM, lambda: feeds.atom(self.view, address=address, suffix=suffix)),
            "incidents.ics": (ICS, lambda: feeds.calendar(self.view, address=address,
                                                          suffix=suffix)),
            "badge.svg": (SVG, lambda: feeds.badge(self.view)),
            "summary.json": (JSON, lambda: self._json("summary.json", address)),
        }  # fmt: skip
        if name in makers:
            media, make = makers[name]
            return media, make()
        if name.startswith("api/v2/"):
            return JSON, self._json(name.removeprefix("api/v2/"), address)
        if name.startswith("incidents/"):
            return HTML, self._incident(name)
        raise KeyError(name)

    def _json(self, name: str, address: str) -> str:
        made = statuspage_v2.document(name, self.view, address, suffix=self.site.look.suffix)
        return json.dumps(made, ensure_ascii=False, separators=(",", ":"))

    def _index(self) -> str:
        view, words = self.view, self.view.words
        days = self.site.settings.history_days
        return self._page(
            "status/index.html",
            INDEX,
            open=[self._shown(one) for one in view.open],
            past=[self._shown(one) for one in view.past],
            works=[
                {
                    "name": work.name,
                    "phase": words.say(work.status, "phases"),
                    "status": work.status,
                    "starts": self._when(work.starts_at),
                    "ends": self._when(work.ends_at),
                }
                for work in view.works
                if work.status != "completed"
            ],
            components=[
                {
                    "name": one.name,
                    "state": one.state,
                    "icon": ICONS[one.state],
                    "label": one.label,
                    "heard": self._heard(one),
                }
                for one in view.components
            ],
            past_days=words.say("past_days" if days > 1 else "past_day", days=days),
        )

    def _heard(self, one: Component) -> dict[str, str] | None:
        if one.state != "unknown" or one.heard_at is None:
            return None
        text = self.view.words.briefly(one.heard_at, self.view.as_of)
        return {"iso": iso(one.heard_at), "text": text}

    def _incident(self, name: str) -> str:
        number = name.removeprefix("incidents/").removesuffix(".html")
        for one in self.view.incidents:
            if one.number == number:
                return self._page("status/incident.html", name, item=self._shown(one))
        raise KeyError(name)

    def _shown(self, one: PublicIncident) -> dict[str, Any]:
        over, words = one.resolved_at, self.view.words
        lasted = (over or self.view.as_of) - one.started_at
        return {
            "number": one.number,
            "title": one.title,
            "summary": one.summary,
            "status": one.status,
            "phase": words.say(one.status, "phases"),
            "impact": one.impact,
            "is_open": one.is_open,
            "services": [NAMES.get(slug, slug) for slug in one.services],
            "started": self._when(one.started_at),
            "ended": self._when(over),
            "lasted": span(lasted.total_seconds()) if over else "",
            "updates": [
                {
                    "status": update.status,
                    "phase": words.say(update.status, "phases"),
                    "text": update.text,
                    "at": self._when(update.at),
                    "by_person": update.by_person,
                    "language": update.language,
                }
                for update in one.updates
            ],
        }

    def _when(self, at: datetime | None) -> dict[str, str] | None:
        return None if at is None else {"iso": iso(at), "text": self.view.words.spoken(at)}

    def _other(self, view: StatusView, root: str, name: str) -> dict[str, Any]:
        """Where the same page stands in one of the languages."""
        language = view.words.language
        own = language == next(iter(self.site.views))
        folder = root if own else f"{root}{FOLDER}{language}/"
        return {
            "code": language,
            "name": view.words.say("name", "language"),
            "address": _page_at(folder, name, live=self.site.look.live),
            "here": language == self.view.words.language,
        }

    def _page(self, template: str, name: str, **values: Any) -> str:
        look, settings, words = self.site.look, self.site.settings, self.view.words
        up = "" if look.live else "../" * f"{self.folder}{name}".count("/")
        root = f"{up}{look.root}"
        here = f"{root}{self.folder}"
        logo = settings.logo
        return render(
            template,
            view=self.view,
            say=words.say,
            language=words.language,
            languages=[self._other(one, root, name) for one in self.site.views.values()],
            age=json.dumps(dict(words.age), ensure_ascii=False),
            root=root,
            here=here,
            home=_page_at(here, INDEX, live=look.live),
            suffix=look.suffix,
            own="/static/" if look.live else root,
            live=look.live,
            logo=f"{root}{logo[0]}" if logo else "",
            links=settings.links,
            made=self._when(look.made_at),
            told=self._when(self.view.as_of),
            stale_seconds=look.stale_seconds,
            feed=f"{here}feed.atom",
            **values,
        )


ICONS = {
    "operational": "healthy",
    "degraded_performance": "degraded",
    "partial_outage": "failing",
    "major_outage": "failing",
    "under_maintenance": "fixing",
    "unknown": "unknown",
}


def _page_at(folder: str, name: str, *, live: bool) -> str:
    """The address of a page."""
    if not live:
        return f"{folder}{name}"
    if name == INDEX:
        return folder.rstrip("/") or "/"
    return f"{folder}{name.removesuffix('.html')}"
