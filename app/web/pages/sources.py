"""The sources page: what is read, how fresh it is, and what each probe met last."""

from collections.abc import Sequence
from typing import Any

from app.web.boardview import source_view
from app.web.page import Frame
from app.web.views import Document, when
from app.web.words import SYMPTOM, service_name, word

CONDITIONS = {"ok": "healthy", "degraded": "degraded", "failed": "failing"}
OUTCOMES = {"ok": "Clean", "degraded": "Degraded", "failed": "Failed", "unknown": "Unknown"}


def sources_page(frame: Frame, *, sources: Sequence[Document], probes: Sequence[Document]) -> str:
    """Render the sources and the newest result of each check at each location."""
    return frame.render(
        "sources.html",
        here="sources",
        sources=[source_view(document, frame.now) for document in sources],
        probes=[_probe(frame, document) for document in probes],
    )


def _probe(frame: Frame, document: Document) -> dict[str, Any]:
    outcome = str(document.get("outcome") or "unknown")
    said = [
        word(SYMPTOM, document.get("symptom")),
        f"HTTP {document['http_status']}" if document.get("http_status") else "",
        f"{document['latency_ms']:,.0f} ms" if document.get("latency_ms") is not None else "",
        "own control check fails too" if document.get("self_check") == "failed" else "",
        str(document.get("error") or ""),
    ]
    return {
        "probe": document["probe"],
        "location": document["location"],
        "service": service_name(document.get("service") or "other"),
        "condition": CONDITIONS.get(outcome, "unknown"),
        "outcome": word(OUTCOMES, outcome),
        "at": when(document.get("occurred_at"), frame.now) or when(frame.now, frame.now),
        "detail": " · ".join(part for part in said if part),
    }
