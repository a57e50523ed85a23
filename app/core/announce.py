"""Announcements: what a channel is told of an incident, when, and whether it can be used now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

from app.core.document import rfc3339
from app.core.incident import Approval, Incident
from app.core.telling import Told, line_of
from app.core.types import OPEN_STATUSES, Status

# What a kind of channel cannot work without, unless the operator says otherwise (issue 8).
DEPENDS_ON: Mapping[str, tuple[str, ...]] = {
    "teams": ("microsoft-teams", "entra-id"),
    "smtp": ("exchange-online",),
    "slack": (),
    "pagerduty": (),
    "jira": (),
    "webhook": (),
}
WAITS = "Waits for a person: nothing goes to users by itself."
_MILESTONES = frozenset(
    {"incident.confirmed", "incident.mitigating", "incident.reopened", "incident.advisory_linked"}
)
_TURNS = ("severity", "services", "origin")  # fields whose change everybody should hear of


class NoticePhase(StrEnum):
    """Which of its messages an incident is at."""

    FIRST = "first"
    UPDATE = "update"
    MITIGATED = "mitigated"
    RESOLVED = "resolved"  # also dismissed and merged: over for those who were told


class Audience(StrEnum):
    """Who reads a channel."""

    USERS = "users"
    HELP_DESK = "help_desk"
    EXECUTIVES = "executives"
    SOC = "soc"


STAFF = frozenset({Audience.HELP_DESK, Audience.SOC})  # who may read internal notes


class Updates(StrEnum):
    """What a channel hears between the first notice and the end."""

    ALL = "all"
    MILESTONES = "milestones"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFacts:
    """What choosing and wording know of a channel.

    ``depends_on`` are slugs of services without which it does not arrive. ``automatic`` says that
    a rule lets it be used without a person; for users that is never the default. A ``spare`` is
    used only while no other of its audience can be relied on.
    """

    name: str
    kind: str
    depends_on: tuple[str, ...] = ()
    audience: Audience = Audience.HELP_DESK
    language: str = "en"
    automatic: bool = True
    spare: bool = False


def picture_file(incident: Incident) -> str:
    """What the file of an incident's picture is called: always the same, so that it is replaced."""
    return f"{incident.number}-sextant.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What there is to say once. Users get no ``lines`` and no ``url``: the words alone.

    ``lines`` is what happened since the channel was last told, oldest first. ``mark`` is a sentence
    on why it comes by this channel; empty for nothing. ``late``: the channel was held back when it
    was due. ``evidence`` is the incident's evidence document, ``next_update_at`` when the vendor
    will say more. ``let_out`` are the words that a person approved. ``is_test`` marks a trial.
    """

    incident: Incident
    phase: NoticePhase
    url: str
    at: datetime
    lines: tuple[str, ...] = ()
    mark: str = ""
    late: bool = False
    evidence: Mapping[str, Any] = field(default_factory=dict)
    next_update_at: datetime | None = None
    let_out: Approval | None = None
    is_test: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is said: a subject of one line, plain text, and HTML that is safe to send.

    Without ``html`` a channel makes its own from the text.
    """

    subject: str
    text: str
    html: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Use the channel; ``mark`` is added to what is said.

    Where a person has to let each message out, ``let_out`` is the newest; it is sent once.
    """

    mark: str = ""
    let_out: Approval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Do not use it now. What is held ``for_later`` is told when that ends, also if it is over.

    ``until_begun``: it holds back a first notice alone; who heard the beginning hears the rest.
    """

    why: str
    for_later: bool = True
    until_begun: bool = False


Verdict: TypeAlias = Send | Hold


def standing_phase(incident: Incident) -> NoticePhase:
    """The phase that an incident is in, whatever anybody was told."""
    if incident.status not in OPEN_STATUSES:
        return NoticePhase.RESOLVED
    return NoticePhase.MITIGATED if incident.status is Status.MONITORING else NoticePhase.UPDATE


def phase_due(
    incident: Incident, *, last: str, unheard: Sequence[Told], name: str, updates: Updates,
    late: bool,
) -> NoticePhase | None:  # fmt: skip
    """What a channel is to be told now.

    Args:
        incident: as it stands.
        last: the phase that the channel was told last; empty before the first.
        unheard: events that it has not heard of, oldest first.
        name: of the channel; what came from there is not told there.
        updates: what it wants to hear in between.
        late: the first notice was held back, so the end is told even without it.

    Returns:
        The phase, or None when there is nothing to tell.
    """
    stands = standing_phase(incident)
    if not last:
        if stands is not NoticePhase.RESOLVED:
            return NoticePhase.FIRST
        return stands if late else None
    if stands is NoticePhase.RESOLVED:
        return None if last == stands else stands
    if stands is NoticePhase.MITIGATED and last != stands:
        return stands
    back = last == NoticePhase.RESOLVED
    back = back or (last == NoticePhase.MITIGATED and stands is NoticePhase.UPDATE)
    if back or any(_worth(event, name, updates) for event in unheard):
        return NoticePhase.UPDATE
    return None


def _worth(event: Told, name: str, updates: Updates) -> bool:
    match updates:
        case Updates.NONE:
            return False
        case Updates.ALL:
            return bool(line_of(event, mirror=name))
        case Updates.MILESTONES:
            return event.type in _MILESTONES or _is_turn(event) or _is_public_note(event)


def _is_turn(event: Told) -> bool:
    data = event.document["data"]
    previous = data.get("previous") or {}
    return event.type == "incident.updated" and any(
        name in previous and previous[name] != data["incident"][name] for name in _TURNS
    )


def _is_public_note(event: Told) -> bool:
    note = event.document["data"].get("note") or {}
    return event.type == "incident.noted" and note.get("visibility") == "public"


def lines_of(unheard: Sequence[Told], *, name: str, audience: Audience) -> tuple[str, ...]:
    """What happened, a line for each event; notes that are internal reach staff alone."""
    lines = [
        line_of(event, mirror=name)
        for event in unheard
        if audience in STAFF or event.type != "incident.noted" or _is_public_note(event)
    ]
    return tuple(dict.fromkeys(line for line in lines if line))


_WORDS: Mapping[NoticePhase, str] = {
    NoticePhase.FIRST: "Disruption",
    NoticePhase.UPDATE: "Update",
    NoticePhase.MITIGATED: "Improving",
    NoticePhase.RESOLVED: "Over",
}


def plain_message(notice: Notice, channel: ChannelFacts) -> Message:
    """Say it in a few plain words, where nobody wrote better ones."""
    del channel
    incident = notice.incident
    word = "Test" if notice.is_test else _WORDS[notice.phase]
    facts = {
        "Status": incident.status.value,
        "Severity": incident.severity.word,
        "Services": ", ".join(incident.services),
        "Advisory": ", ".join(a.id for a in incident.advisories),
        "Since": (rfc3339(incident.first_signal_at or incident.opened_at) or ""),
    }
    parts = [
        notice.mark,
        incident.summary,
        "\n".join(f"{name}: {text}" for name, text in facts.items() if text),
        "\n".join(notice.lines),
        notice.url,
    ]
    text = "\n\n".join(part for part in parts if part)
    subject = " ".join(f"[{incident.number}] {word}: {incident.title}".split())
    return Message(subject=subject, text=text)
