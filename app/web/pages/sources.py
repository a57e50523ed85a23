"""The sources page: what is read, how fresh it is, and what each probe met last."""

from collections.abc import Sequence
from typing import Any

from app.web.boardview import source_view
from app.web.page import Frame
from app.web.views import Document, when
from app.web.words import CONDITION, SYMPTOM, service_name, word

OUTCOMES = {"healthy": "Clean", "degraded": "Degraded", "failing": "Failing"}


def sources_page(
    frame: Frame,
    *,
    sources: Sequence[Document],
    probes: Sequence[Document],
    codes: Sequence[Document] = (),
) -> str:
    """Render the sources and how each check stands at each location.

    Args:
        frame: the surroundings.
        sources: the sources documents.
        probes: ``{"probe", "location", "service", "condition", "last_at", "stale", "symptom",
            "failing_since"}``.
        codes: codes that the catalogue does not know, ``{"code", "service", "client", "count",
            "last_at", "sample"}``.
    """
    return frame.render(
        "sources.html",
        here="sources",
        sources=[source_view(document, frame.now) for document in sources],
        probes=[_probe(frame, document) for document in probes],
        codes=[_code(frame, document) for document in codes],
    )


def _probe(frame: Frame, document: Document) -> dict[str, Any]:
    condition = str(document["condition"])
    since = when(document.get("failing_since"), frame.now)
    said = [
        "stale: no result when one was due" if document.get("stale") else "",
        word(SYMPTOM, document.get("symptom")),
        f"failing since {since.short}" if since else "",
    ]
    return {
        "probe": document["probe"],
        "location": document["location"],
        "service": service_name(document.get("service") or "other"),
        "condition": condition,
        "outcome": OUTCOMES.get(condition) or word(CONDITION, condition),
        "at": when(document.get("last_at"), frame.now),
        "detail": " · ".join(part for part in said if part),
    }


def _code(frame: Frame, document: Document) -> dict[str, Any]:
    return {
        **document,
        "service": service_name(document["service"]),
        "at": when(document["last_at"], frame.now),
    }
