"""View model of what may be done to an incident, and of what has become of its news; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.core.types import Status
from app.web.evidenceview import cell_name
from app.web.views import RESOLVABLE, Document, When, when
from app.web.words import (
    DELIVERY_REASON,
    DELIVERY_STATE,
    DONE,
    EVENT,
    LINK_STATE,
    plural,
    word,
)

# No command is taken any more once it has ended like this.
OVER = frozenset({Status.CLOSED, Status.DISMISSED, Status.MERGED})
TROUBLED = frozenset({"conflict", "gone", "failed", "create_unknown", "held"})
TITLE = 80  # characters of another incident's title in a choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Acts:
    """What may be done now. ``parts`` and ``others`` and ``loose`` are (id, words)."""

    acknowledge: bool
    living: bool
    resolve: bool
    reopen: bool
    dismiss: bool
    assignee: str
    parts: tuple[tuple[str, str], ...]
    others: tuple[tuple[str, str], ...]
    loose: tuple[tuple[str, str], ...]
    apart: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketView:
    """A ticket of the incident and how it stands. ``tone`` is failing, healthy or nothing."""

    id: str
    incident: str
    system: str
    mirror: str
    number: str
    url: str
    label: str
    state: str
    tone: str
    explanation: str
    remote_state: str
    synced: When | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryView:
    """One event on its way to one receiver."""

    id: str
    subscription: str
    url: str
    event: str
    incident: str
    state: str
    label: str
    tone: str
    reason: str
    attempts: str
    created: When | None
    due: When | None
    done: When | None


def acts_of(
    incident: Document,
    evidence: Document,
    others: Sequence[Document],
    loose: Sequence[Document],
) -> Acts:
    """Say what may be done to an incident now."""
    status = incident["status"]
    living = status not in OVER
    is_open = status in RESOLVABLE
    assignee = incident.get("assignee") or {}
    return Acts(
        acknowledge=is_open and not incident.get("acknowledged"),
        living=living,
        resolve=is_open,
        reopen=status == "resolved",
        dismiss=is_open or status == "resolved",
        assignee=str(assignee.get("name") or assignee.get("id") or ""),
        parts=_parts(incident, evidence) if is_open else (),
        others=tuple((one["id"], f"{one['number']} {_cut(one['title'])}") for one in others)
        if living
        else (),
        loose=tuple((one["id"], f"{one['id']} {_cut(one['title'])}") for one in loose)
        if living
        else (),
        apart=tuple(pin[1:] for pin in incident.get("pins") or [] if pin.startswith("-")),
    )


def _parts(incident: Document, evidence: Document) -> tuple[tuple[str, str], ...]:
    advisories = [
        (advisory["id"], f"{advisory['id']} {_cut(advisory['title'])}")
        for advisory in incident.get("advisories") or []
    ]
    cells = [cell for cell in evidence.get("cells") or [] if cell.get("count")]
    cells.sort(key=lambda cell: (cell["source"], -int(cell["count"]), str(cell["id"])))
    return (*advisories, *((str(cell["id"]), cell_name(cell)) for cell in cells))


def _cut(text: str) -> str:
    return text if len(text) <= TITLE else text[: TITLE - 1] + "…"


def done_words(word_of: str, viewer_name: str) -> str:
    """What to say after a command; nothing for a word that is none of ours."""
    return DONE.get(word_of, "").format(name=viewer_name)


def ticket_view(document: Document, now: datetime) -> TicketView:
    """Show a ticket."""
    state = document["state"]
    tone = "failing" if state in TROUBLED else "healthy" if state == "in_step" else ""
    url = str(document.get("url") or "")
    return TicketView(
        id=document["id"],
        incident=str(document.get("incident") or ""),
        system=document["system"],
        mirror=document["mirror"],
        number=str(document.get("number") or "no number yet"),
        url=url if url.startswith(("https://", "http://")) else "",
        label=word(LINK_STATE, state),
        state=state,
        tone=tone,
        explanation=str(document.get("explanation") or ""),
        remote_state=str(document.get("remote_state") or ""),
        synced=when(document.get("last_synced_at"), now),
    )


def delivery_view(document: Document, now: datetime) -> DeliveryView:
    """Show a delivery."""
    state = document["state"]
    state = "pending" if state == "superseded" else state
    tone = {"delivered": "healthy", "parked": "failing"}.get(state, "unknown")
    # What is still queued after an attempt failed is no longer merely waiting.
    if state == "pending" and document["attempts"]:
        tone = "degraded"
    return DeliveryView(
        id=document["id"],
        subscription=document["subscription"],
        url=str(document.get("url") or "a receiver that was deleted"),
        event=word(EVENT, document["event_type"]),
        incident=str(document.get("incident") or ""),
        state=state,
        label=word(DELIVERY_STATE, state),
        tone=tone,
        reason=word(DELIVERY_REASON, document.get("reason")),
        attempts=plural(int(document["attempts"]), "attempt"),
        created=when(document["created_at"], now),
        due=when(document.get("due_at"), now),
        done=when(document.get("done_at"), now),
    )
