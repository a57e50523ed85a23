"""The board: services by the three sources, open incidents, freshness."""

from collections.abc import Sequence

from app.web.boardview import Document, board_of
from app.web.page import Frame


def board_page(
    frame: Frame,
    *,
    services: Sequence[Document],
    sources: Sequence[Document],
    incidents: Sequence[Document],
    recent: Sequence[Document],
) -> str:
    """Render the board from the documents of services, sources and incidents."""
    board = board_of(services, sources, incidents, recent, frame.now)
    return frame.render("board.html", here="board", board=board)
