"""The sources page: what is read, how fresh it is, and the codes that nobody knows."""

from collections.abc import Sequence
from typing import Any

from app.web.boardview import source_view
from app.web.page import Frame
from app.web.views import Document, when
from app.web.words import service_name


def sources_page(
    frame: Frame,
    *,
    sources: Sequence[Document],
    codes: Sequence[Document] = (),
    warnings: Sequence[str] = (),
    failing: Sequence[Document] = (),
) -> str:
    """Render the sources and the codes that nobody knows.

    Args:
        frame: the surroundings.
        sources: the sources documents.
        codes: codes that the catalogue does not know, ``{"code", "service", "client", "count",
            "last_at", "sample"}``.
        warnings: what would silence the channels to people, in sentences.
        failing: channels and mirrors that fail, ``{"name", "since", "why"}``.
    """
    return frame.render(
        "sources.html",
        here="sources",
        warnings=warnings,
        failing=[{**one, "since": when(one["since"], frame.now)} for one in failing],
        sources=[source_view(document, frame.now) for document in sources],
        codes=[_code(frame, document) for document in codes],
    )


def _code(frame: Frame, document: Document) -> dict[str, Any]:
    return {
        **document,
        "service": service_name(document["service"]),
        "at": when(document["last_at"], frame.now),
    }
