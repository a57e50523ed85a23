"""One incident: headline, explanation, the picture, advisories, evidence, timeline, actions."""

from collections.abc import Sequence
from typing import Any

from app.web.charts import draw
from app.web.evidenceview import evidence_lines
from app.web.page import Frame
from app.web.picture import Document, picture_of
from app.web.timeline import timeline
from app.web.times import instant
from app.web.views import (
    RESOLVABLE,
    advisory_words,
    card,
    facts,
    grounds,
    when,
)
from app.web.words import DISAGREEMENT, RESOLUTION, STATUS_REASON, service_name, word

# How a person may say that it ended; duplicates and false positives are dismissed or merged.
BY_HAND = ("vendor_fix", "rollback", "self_restored", "customer_fix", "unknown")


def incident_page(
    frame: Frame,
    *,
    incident: Document,
    evidence: Document,
    events: Sequence[Document],
    advisories: Sequence[Document],
    notes: Sequence[Document],
) -> str:
    """Render an incident from its documents.

    Args:
        frame: the surroundings.
        incident: the incident document.
        evidence: its evidence document.
        events: its events, oldest first.
        advisories: its whole advisories; ``posts`` hold sanitized ``html``.
        notes: ``{"at", "by", "text", "visibility"}``, oldest first.
    """
    now = frame.now
    picture = picture_of(incident, evidence, events, advisories, now)
    item = card(incident, now)
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
        cells=evidence_lines(evidence, now),
        timeline=timeline(events, now),
        notes=[{**note, "when": when(note["at"], now)} for note in reversed(notes)],
        resolvable=incident["status"] in RESOLVABLE,
        resolutions=[(value, RESOLUTION[value]) for value in BY_HAND],
    )


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
