"""The board: services by the three sources, open incidents, freshness."""

from collections.abc import Sequence

from app.core.catalogue import SERVICES
from app.web.boardview import Document, board_of
from app.web.filters import EVERYTHING, Filters
from app.web.page import Frame
from app.web.words import SEVERITIES


def board_page(
    frame: Frame,
    *,
    services: Sequence[Document],
    sources: Sequence[Document],
    incidents: Sequence[Document],
    recent: Sequence[Document],
    wanted: Filters = EVERYTHING,
    tenants: Sequence[Document] = (),
) -> str:
    """Render the board from the documents of services, sources and incidents.

    ``tenants`` are all that the viewer may look at: ``{"id", "name", "open", "severity"}``.
    """
    board = board_of(services, sources, incidents, recent, frame.now, wanted=wanted)
    return frame.render(
        "board.html",
        here="board",
        board=board,
        filters=wanted,
        filtered=bool(wanted.words),
        severities=(*SEVERITIES, "unknown"),
        named=sorted(((s.slug, s.name) for s in SERVICES), key=lambda pair: pair[1]),
        tenants=tenants,
    )
