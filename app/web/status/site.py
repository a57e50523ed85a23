"""The files of a status page, made from its view: the same live and exported."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.core.catalogue import SERVICES
from app.web.status import feeds, statuspage_v2
from app.web.status.settings import StatusSettings
from app.web.status.told import PublicIncident
from app.web.status.view import Component, StatusView
from app.web.status.words import PHASE, briefly, spoken
from app.web.templating import render, static_file
from app.web.times import iso, span

INDEX = "index.html"
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
    """A status page as files."""

    view: StatusView
    settings: StatusSettings
    look: Look

    def names(self) -> Iterator[str]:
        """Every file, what others refer to before what refers to it; the index is the last."""
        yield from OWN
        yield "brand.css"
        if self.settings.logo is not None:
            yield self.settings.logo[0]
        for one in self.view.incidents:
            yield f"incidents/{one.number}.html"
        for name in statuspage_v2.FILES:
            yield f"api/v2/{name}"
        yield from ("summary.json", "feed.atom", "incidents.ics", "badge.svg", INDEX)

    def file(self, name: str) -> tuple[str, bytes]:
        """The media type and the content of one file.

        Raises:
            KeyError: there is no such file.
        """
        media, content = self._file(name)
        return media, content.encode() if isinstance(content, str) else content

    def _file(self, name: str) -> tuple[str, str | bytes]:
        address, suffix = self.look.address, self.look.suffix
        makers: dict[str, tuple[str, Callable[[], str]]] = {
            INDEX: (HTML, self._index),
            "feed.atom": (ATOM, lambda: feeds.atom(self.view, address=address, suffix=suffix)),
            "incidents.ics": (ICS, lambda: feeds.calendar(self.view, address=address,
                                                          suffix=suffix)),
            "badge.svg": (SVG, lambda: feeds.badge(self.view)),
            "brand.css": (CSS, self._brand),
            "summary.json": (JSON, lambda: self._json("summary.json")),
        }  # fmt: skip
        logo = self.settings.logo
        if name in makers:
            media, make = makers[name]
            return media, make()
        if name.startswith("api/v2/"):
            return JSON, self._json(name.removeprefix("api/v2/"))
        if name.startswith("incidents/"):
            return HTML, self._incident(name)
        if logo is not None and name == logo[0]:
            return logo[1], logo[2]
        return OWN[name], static_file(name)

    def _json(self, name: str) -> str:
        made = statuspage_v2.document(name, self.view, self.look.address, suffix=self.look.suffix)
        return json.dumps(made, ensure_ascii=False, separators=(",", ":"))

    def _brand(self) -> str:
        return f":root {{ --brand: {self.settings.colour}; --brand-ink: {self.settings.ink}; }}\n"

    def _index(self) -> str:
        view = self.view
        return self._page(
            "status/index.html",
            depth=0,
            open=[self._shown(one) for one in view.open],
            past=[self._shown(one) for one in view.past],
            works=[
                {
                    "name": work.name,
                    "phase": PHASE[work.status],
                    "status": work.status,
                    "starts": _when(work.starts_at),
                    "ends": _when(work.ends_at),
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
            history_days=self.settings.history_days,
        )

    def _heard(self, one: Component) -> dict[str, str] | None:
        if one.state != "unknown" or one.heard_at is None:
            return None
        return {"iso": iso(one.heard_at), "text": briefly(one.heard_at, self.view.as_of)}

    def _incident(self, name: str) -> str:
        number = name.removeprefix("incidents/").removesuffix(".html")
        for one in self.view.incidents:
            if one.number == number:
                return self._page("status/incident.html", depth=1, item=self._shown(one))
        raise KeyError(name)

    def _shown(self, one: PublicIncident) -> dict[str, Any]:
        over = one.resolved_at
        lasted = (over or self.view.as_of) - one.started_at
        return {
            "number": one.number,
            "title": one.title,
            "summary": one.summary,
            "status": one.status,
            "phase": PHASE[one.status],
            "impact": one.impact,
            "is_open": one.is_open,
            "services": [NAMES.get(slug, slug) for slug in one.services],
            "started": _when(one.started_at),
            "ended": _when(over),
            "lasted": span(lasted.total_seconds()) if over else "",
            "updates": [
                {
                    "status": update.status,
                    "phase": PHASE[update.status],
                    "text": update.text,
                    "at": _when(update.at),
                    "by_person": update.by_person,
                }
                for update in one.updates
            ],
        }

    def _page(self, template: str, *, depth: int, **values: Any) -> str:
        look = self.look
        up = "" if look.live else "../" * depth
        root = f"{up}{look.root}"
        logo = self.settings.logo
        return render(
            template,
            view=self.view,
            root=root,
            home=(root.rstrip("/") or "/") if look.live else f"{root}{INDEX}",
            suffix=look.suffix,
            own="/static/" if look.live else root,
            live=look.live,
            logo=f"{root}{logo[0]}" if logo else "",
            links=self.settings.links,
            made=_when(look.made_at),
            told=_when(self.view.as_of),
            stale_seconds=look.stale_seconds,
            feed=f"{root}feed.atom",
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


def _when(at: datetime | None) -> dict[str, str] | None:
    return None if at is None else {"iso": iso(at), "text": spoken(at)}
