"""Incidents and planned work as they are told on the status page; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.core.announce import Audience
from app.core.ids import derived
from app.core.incident import Approval, Incident
from app.core.maintenance import Window
from app.core.types import Severity, Status
from app.store.events import Moment
from app.web.status.words import IMPACT, PHASE_OF, Words

HIT = {"none": "operational", "minor": "degraded_performance", "major": "partial_outage",
       "critical": "major_outage"}  # fmt: skip
AT_ONCE = timedelta(hours=1)  # a message and its translation are let out within it


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a person said in public: a public note, or a message to users that was let out.

    ``language`` is that of a message; empty for a note, of which nobody knows.
    """

    id: str
    at: datetime
    text: str
    language: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One thing that was said of an incident; ``before`` and ``after`` are states of services.

    ``language`` is set where it is not the page's.
    """

    id: str
    status: str
    text: str
    at: datetime
    before: str
    after: str
    by_person: bool
    language: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicIncident:
    """One incident as it was released; ``updates`` has the newest first."""

    id: str
    number: str
    title: str
    summary: str
    status: str
    impact: str
    services: tuple[str, ...]
    started_at: datetime
    updates: tuple[Update, ...]
    monitoring_at: datetime | None
    resolved_at: datetime | None

    @property
    def created_at(self) -> datetime:
        """When it was told first."""
        return self.updates[-1].at

    @property
    def updated_at(self) -> datetime:
        """When it was told of last."""
        return self.updates[0].at

    @property
    def is_open(self) -> bool:
        """Whether it goes on."""
        return self.status != "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One window of planned work."""

    id: str
    name: str
    status: str
    services: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime
    created_at: datetime


def released(
    incident: Incident,
    *,
    notes: Sequence[Said],
    moments: Sequence[Moment],
    release: str,
    words: Words,
) -> PublicIncident | None:
    """The incident as it may be told; None while it is not released.

    Args:
        incident: the incident.
        notes: what persons wrote of it in public, oldest first.
        moments: events of the lifecycle, of other incidents too, oldest first.
        release: ``confirmed`` or ``noted``.
        words: the language of the page.
    """
    said = [*notes, *_messages(incident, words.language)]
    confirmed = incident.confirmed_at is not None and incident.suppressed is None
    if incident.status is Status.MERGED or not (said or (confirmed and release == "confirmed")):
        return None
    updates = _updates(incident, moments, said, words)
    status = PHASE_OF.get(incident.status, "investigating")
    if not updates:  # its events are no longer kept
        at = incident.resolved_at or incident.updated_at
        text = words.summary_of(incident)
        updates = [Update(id=f"{incident.id}-last", status=status, text=text, at=at,
                          before="operational", after=_hit(incident, status),
                          by_person=False)]  # fmt: skip
    over = incident.resolved_at or incident.closed_at or incident.updated_at
    watched = [update.at for update in updates if update.status == "monitoring"]
    return PublicIncident(
        id=incident.id,
        number=incident.number,
        title=words.title_of(incident),
        summary=words.summary_of(incident),
        status=status,
        impact=IMPACT[incident.severity],
        services=incident.services,
        started_at=incident.first_signal_at or incident.vendor_started_at or incident.opened_at,
        updates=tuple(reversed(updates)),
        monitoring_at=watched[-1] if watched else None,
        resolved_at=over if status == "resolved" else None,
    )


def _messages(incident: Incident, language: str) -> list[Said]:
    """The messages to users that a person let out, word by word, each once.

    One in another language stands on the page where it was not told in the page's own.
    """
    found: dict[tuple[str, str, str], Approval] = {}
    for one in incident.approvals:
        if one.audience == Audience.USERS.value and one.text:
            found.setdefault((one.language, one.phase, one.text), one)
    own = [one for one in found.values() if one.language == language]
    return [
        Said(
            id=derived("approval", incident.id, one.language, one.at.isoformat()),
            at=one.at,
            text=one.text,
            language=one.language,
        )
        for one in found.values()
        if one.language == language
        or not any(other.phase == one.phase and other.at > one.at - AT_ONCE for other in own)
    ]


def _hit(incident: Incident, status: str) -> str:
    if status == "resolved" or incident.severity is Severity.INFO:
        return "operational"
    return HIT[IMPACT[incident.severity]]


def _updates(
    incident: Incident,
    moments: Sequence[Moment],
    notes: Sequence[Said],
    words: Words,
) -> list[Update]:
    """What was told of it, oldest first: the lifecycle from its confirmation on, and persons."""
    mine = [moment for moment in moments if moment.incident == incident.id]
    confirmed = [at for at, moment in enumerate(mine) if moment.type == "incident.confirmed"]
    begun = mine[confirmed[0] :] if confirmed else mine
    said: list[tuple[Said, str | None]] = []
    for place, moment in enumerate(begun):
        text = words.told(moment.type, incident, again=place > 0)
        said.append((Said(id=moment.id, at=moment.occurred_at, text=text), _PHASES[moment.type]))
    said += [(note, None) for note in notes]
    said.sort(key=lambda one: one[0].at)
    result: list[Update] = []
    status, before = "investigating", "operational"
    for one, phase in said:
        status = phase or status
        after = _hit(incident, status)
        foreign = "" if one.language == words.language else one.language
        result.append(Update(id=one.id, status=status, text=one.text, at=one.at, before=before,
                             after=after, by_person=phase is None,
                             language=foreign))  # fmt: skip
        before = after
    return result


_PHASES = {
    "incident.opened": "investigating",
    "incident.confirmed": "investigating",
    "incident.reopened": "investigating",
    "incident.mitigating": "identified",
    "incident.monitoring": "monitoring",
    "incident.resolved": "resolved",
    "incident.dismissed": "resolved",
}


def concerns_all(window: Window) -> bool:
    """Whether planned work concerns services as such, and not some place or check of ours."""
    return not window.locations and not window.probes


def work_of(window: Window, now: datetime, words: Words) -> Work:
    """The window as it is told."""
    if now < window.starts_at:
        status = "scheduled"
    else:
        status = "in_progress" if now < window.ends_at else "completed"
    services = tuple(sorted(window.services))
    return Work(
        id=window.id,
        name=words.work_name(services),
        status=status,
        services=services,
        starts_at=window.starts_at,
        ends_at=window.ends_at,
        created_at=window.created_at,
    )
