"""Everything that an incident rests on, with the signals behind each line."""

from app.web.evidenceview import evidence_lines
from app.web.page import Frame
from app.web.views import Document, card
from app.web.words import SOURCE, plural

KINDS = ("client_report", "probe")


def evidence_page(frame: Frame, *, incident: Document, evidence: Document, source: str) -> str:
    """Render the evidence of one source, or of all where ``source`` is none that we know."""
    chosen = source if source in KINDS else ""
    lines = evidence_lines(evidence, frame.now, source=chosen)
    withheld = int(evidence.get("withheld") or 0)
    return frame.render(
        "evidence.html",
        here="incidents",
        item=card(incident, frame.now),
        cells=lines,
        chosen=chosen,
        kinds=[(kind, SOURCE[kind]) for kind in KINDS],
        withheld=plural(withheld, "group") if withheld else "",
    )
