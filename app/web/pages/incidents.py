"""The list of incidents with its filters."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from app.core.catalogue import SERVICES
from app.web.page import Frame
from app.web.views import Document, card
from app.web.words import SEVERITIES, STATUS

PAGE = 50  # incidents on one page


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What the reader asked for; empty words ask for everything."""

    q: str = ""
    status: str = ""
    severity: str = ""
    service: str = ""

    @property
    def words(self) -> dict[str, str]:
        """The filters that are set."""
        whole = {
            "q": self.q,
            "status": self.status,
            "severity": self.severity,
            "service": self.service,
        }
        return {key: value for key, value in whole.items() if value}


def filters_of(query: dict[str, str]) -> Filters:
    """Read filters from a query string; a word that we do not know is dropped."""
    services = {service.slug for service in SERVICES}

    def known(name: str, allowed: object) -> str:
        value = query.get(name, "")
        return value if isinstance(allowed, set | dict) and value in allowed else ""

    return Filters(
        q=query.get("q", "").strip()[:200],
        status=known("status", STATUS),
        severity=known("severity", {*SEVERITIES, "unknown"}),
        service=known("service", services),
    )


def incidents_page(
    frame: Frame, *, incidents: Sequence[Document], filters: Filters, after: str | None
) -> str:
    """Render the list; ``after`` names the last incident shown when older ones follow."""
    following = f"/incidents?{urlencode({**filters.words, 'after': after})}" if after else ""
    return frame.render(
        "incidents.html",
        here="incidents",
        items=[card(document, frame.now) for document in incidents],
        filters=filters,
        filtered=bool(filters.words),
        next_page=following,
        statuses=list(STATUS.items()),
        severities=(*SEVERITIES, "unknown"),
        services=sorted(((s.slug, s.name) for s in SERVICES), key=lambda pair: pair[1]),
    )
