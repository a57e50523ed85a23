"""The list of incidents with its filters."""

from collections.abc import Sequence
from urllib.parse import urlencode

from app.core.catalogue import SERVICES
from app.web.filters import Filters
from app.web.page import Frame
from app.web.views import Document, card
from app.web.words import SEVERITIES, STATUS

PAGE = 50  # incidents on one page


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
