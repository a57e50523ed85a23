"""One incident: headline, explanation, the picture, advisories, evidence, timeline, actions."""

from collections.abc import Sequence
from typing import Any

from app.web.actview import acts_of, delivery_view, ticket_view
from app.web.charts import draw
from app.web.evidenceview import evidence_lines
from app.web.page import Frame
from app.web.picture import Document, picture_of
from app.web.timeline import timeline
from app.web.times import instant
from app.web.views import (
    advisory_words,
    card,
    facts,
    grounds,
    when,
)
from app.web.words import (
    AUDIENCE,
    BY_HAND,
    DISAGREEMENT,
    DISMISSALS,
    LANGUAGE,
    PHASE,
    RESOLUTION,
    SEVERITIES,
    STATUS_REASON,
    service_name,
    word,
)

LINES = 12  # rows of the evidence table; its own page shows all
TOLD = 60  # newest lines of the timeline
NOTED = 20  # newest notes, and
NOTE_LENGTH = 20_000  # most characters of them: the page stays small


def incident_page(
    frame: Frame,
    *,
    incident: Document,
    evidence: Document,
    events: Sequence[Document],
    advisories: Sequence[Document],
    notes: Sequence[Document],
    tickets: Sequence[Document] = (),
    deliveries: Sequence[Document] = (),
    others: Sequence[Document] = (),
    loose: Sequence[Document] = (),
    messages: Sequence[Document] = (),
    languages: Sequence[str] = (),
    every_note: bool = False,
) -> str:
    """Render an incident from its documents.

    Args:
        frame: the surroundings.
        incident: the incident document.
        evidence: its evidence document.
        events: its events, oldest first.
        advisories: its whole advisories; ``posts`` hold sanitized ``html``.
        notes: ``{"at", "by", "text", "visibility"}``, oldest first.
        tickets: its links, oldest first.
        deliveries: its newest deliveries, newest first.
        others: incidents into which it may be merged, ``{"id", "number", "title"}``.
        loose: advisories that are not linked to it, ``{"id", "title"}``.
        messages: ``{"audience", "language", "phase", "title", "text", "holds", "fallback",
            "words"}``; ``words`` stands for what a person reads.
        languages: in which they can be had.
        every_note: whether all notes are shown, or the newest alone.
    """
    now = frame.now
    picture = picture_of(incident, evidence, events, advisories, now)
    item = card(incident, now)
    told = timeline(events, now)
    shown = list(reversed(notes)) if every_note else _newest(notes)
    return frame.render(
        "incident.html",
        here="incidents",
        doc={**incident, "status_reason": word(STATUS_REASON, incident.get("status_reason"))},
        item=item,
        facts=facts(incident, now),
        disagreement=DISAGREEMENT.get(incident.get("disagreement") or "") if item.is_open else None,
        wide=draw(picture),
        narrow=draw(picture, narrow=True),
        grounds=grounds(incident, now),
        advisories=_advisories(frame, incident, advisories),
        cells=evidence_lines(evidence, now, most=LINES),
        all_cells=sum(1 for cell in evidence.get("cells") or [] if cell.get("count")),
        timeline=told[:TOLD],
        untold=len(told[TOLD:]),
        notes=[{**note, "when": when(note["at"], now)} for note in shown],
        older_notes=len(notes) - len(shown),
        acts=acts_of(incident, evidence, others, loose),
        severities=SEVERITIES,
        resolutions=[(value, RESOLUTION[value]) for value in BY_HAND],
        dismissals=[(value, RESOLUTION[value]) for value in DISMISSALS],
        tickets=[ticket_view(one, now) for one in tickets],
        deliveries=[delivery_view(one, now) for one in deliveries],
        languages=[(one, LANGUAGE.get(one, one)) for one in languages],
        messages=[
            {
                **one,
                "label": word(AUDIENCE, one["audience"]),
                "due": word(PHASE, one["phase"]),
            }
            for one in messages
        ],
    )


def _newest(notes: Sequence[Document]) -> list[Document]:
    shown: list[Document] = []
    length = 0
    for note in reversed(notes[-NOTED:]):
        length += len(note["text"])
        if shown and length > NOTE_LENGTH:
            break
        shown.append(note)
    return shown


def _advisories(
    frame: Frame, incident: Document, whole: Sequence[Document]
) -> list[dict[str, Any]]:
    known = {advisory["id"]: advisory for advisory in whole}
    shown = []
    for linked in incident.get("advisories") or []:
        advisory = {**linked, **known.get(linked["id"], {})}
        url = str(advisory.get("url") or "")
        posts = sorted(
            advisory.get("posts") or [], key=lambda post: str(post["created_at"]), reverse=True
        )
        service = advisory.get("service_name") or service_name(advisory.get("service") or "")
        shown.append(
            {
                "id": advisory["id"],
                "title": advisory["title"],
                # An address of the API asks for a bearer key, which a browser does not send.
                "url": url if url.startswith("https://") and "/v1/" not in url else "",
                "service_name": service or "Microsoft 365",
                "classification": advisory.get("classification") or "",
                "words": advisory_words(advisory),
                "withdrawn": bool(advisory.get("withdrawn")),
                "pinned": advisory["id"] in (incident.get("pins") or []),
                "published": when(instant(advisory.get("published_at")), frame.now),
                "impact": advisory.get("impact_description") or "",
                "posts": [
                    {
                        "id": post["id"],
                        "at": when(post["created_at"], frame.now),
                        "type": post.get("type") or "",
                        "html": post.get("html") or "",
                    }
                    for post in posts
                ],
            }
        )
    return shown
