"""Messages for people: for whom, in which phase, and what an incident permits to be said.

Everything is derived from the incident and its evidence; nothing reads a clock. What users may be
told is made of closed words only (services, symptoms, levels, times), so that no id, no note, no
reporter and no markup can slip into it, whatever a template asks for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from types import MappingProxyType
from typing import Any

from app.core.announce import Audience, NoticePhase
from app.core.catalogue import is_known
from app.core.document import lead_time_seconds
from app.core.incident import Incident, confidence_label
from app.core.signins import judge_signins
from app.core.types import (
    OPEN_STATUSES,
    Disagreement,
    Origin,
    Resolution,
    Status,
)

PUBLIC_NOTES = 3  # newest public notes that the help desk is shown
CODES = 6  # codes that the help desk is shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A remark about the way that a message took; ``word`` picks the sentence of the language.

    ``facts`` are its figures: ``channel`` (a name) and ``service`` (a slug).
    """

    word: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who is told: the tenant's name, its time zone, how to reach its help desk, our address.

    ``users`` is how many people there are; ``hears_vendor`` whether the vendor's word is read.
    """

    tenant: str
    zone: tzinfo
    contact: str = ""
    public_url: str = ""
    users: int | None = None
    hears_vendor: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A message as it is read: plain text, paragraphs parted by empty lines.

    ``holds`` says whether the phase is the incident's own now; a preview of another one is no
    statement about the present and is never sent. ``fallback`` says that the operator's own
    template failed and the shipped one stands in, and why.
    """

    audience: Audience
    language: str
    phase: NoticePhase
    title: str
    text: str
    revision: int
    holds: bool = True
    fallback: str = ""

    @property
    def paragraphs(self) -> tuple[str, ...]:
        """The text in pieces, for channels that lay it out themselves."""
        return tuple(part for part in self.text.split("\n\n") if part.strip())


_PHASES = MappingProxyType(
    {
        Status.SUSPECTED: NoticePhase.FIRST,
        Status.CONFIRMED: NoticePhase.FIRST,
        Status.MITIGATING: NoticePhase.MITIGATED,
        Status.MONITORING: NoticePhase.MITIGATED,
        Status.RESOLVED: NoticePhase.RESOLVED,
        Status.CLOSED: NoticePhase.RESOLVED,
        Status.DISMISSED: NoticePhase.RESOLVED,
        Status.MERGED: NoticePhase.UPDATE,
    }
)


def was_told(incident: Incident, audience: Audience) -> bool:
    """Whether a person has let a message to this audience out already."""
    return any(approval.audience == audience for approval in incident.approvals)


def phase_of(incident: Incident, *, told: bool = False) -> NoticePhase:
    """The phase of the present moment; ``told`` says that a first notice went out already."""
    first = _PHASES[incident.status]
    return NoticePhase.UPDATE if told and first is NoticePhase.FIRST else first


def holds(incident: Incident, phase: NoticePhase) -> bool:
    """Whether a message of a phase is true of the incident now; an update of an open one is."""
    if phase is NoticePhase.UPDATE:
        return incident.status in OPEN_STATUSES | {Status.MERGED}
    return phase is phase_of(incident)


def facts_of(
    incident: Incident,
    reader: Reader,
    *,
    audience: Audience,
    phase: NoticePhase,
    evidence: Mapping[str, Any] | None = None,
    next_update_at: datetime | None = None,
    marks: Sequence[Mark] = (),
) -> dict[str, Any]:
    """What a template for this audience may use: names and plain values; instants are local.

    Args:
        incident: its state.
        reader: who is told.
        audience: for users the free texts, ids and figures of reporters are left out.
        phase: which message it is.
        evidence: the incident's evidence document (``GET /incidents/{id}/evidence``), if any.
        next_update_at: when the vendor said that it will say more.
        marks: remarks about the channels, shown first.
    """
    due = next_update_at
    facts = {
        **_common(incident, reader, phase),
        "audience": audience,
        "marks": tuple(marks),
        "next_update_at": None
        if due is None or due <= incident.updated_at
        else due.astimezone(reader.zone),
    }
    if audience is Audience.USERS:
        return facts
    return {**facts, **_for_staff(incident, reader, evidence or {})}


def _common(incident: Incident, reader: Reader, phase: NoticePhase) -> dict[str, Any]:
    zone = reader.zone
    over = incident.resolved_at if phase is NoticePhase.RESOLVED else None
    since = min(filter(None, (incident.vendor_started_at, incident.onset_at)))
    return {
        "tenant": reader.tenant,
        "contact": reader.contact,
        "phase": phase,
        "status": incident.status,
        "suspected": incident.status is Status.SUSPECTED,
        "withdrawn": incident.status is Status.DISMISSED
        or incident.resolution is Resolution.FALSE_POSITIVE,
        "merged": incident.status is Status.MERGED,
        "services": tuple(s for s in incident.services if is_known(s)),
        "symptoms": tuple(s.value for s in incident.symptoms if s.value != "other"),
        "clients": tuple(c.value for c in incident.clients if c.value != "other"),
        "regions": incident.regions,
        "level": incident.impact.level,
        "origin": incident.origin,
        "vendor": vendor_word(incident, hears_vendor=reader.hears_vendor),
        "cause": incident.cause_category if incident.cause_text else None,
        "since": since.astimezone(zone),
        "as_of": incident.updated_at.astimezone(zone),
        "over_at": None if over is None else over.astimezone(zone),
        "lasted": None if over is None else over - since,
        "blind": bool(incident.stale_sources),
    }


def vendor_word(incident: Incident, *, hears_vendor: bool = True) -> str:
    """What the vendor says, in one word: unread, silent, behind, ahead, fixed or confirms."""
    if incident.disagreement is Disagreement.VENDOR_AHEAD:
        return "ahead"
    if incident.disagreement is Disagreement.VENDOR_BEHIND:
        return "behind"
    told = [a for a in incident.advisories if not a.withdrawn]
    if told:
        return "fixed" if all(a.is_resolved for a in told) else "confirms"
    unread = not hears_vendor or any("graph" in name for name in incident.stale_sources)
    return "unread" if unread else "silent"


def _for_staff(incident: Incident, reader: Reader, evidence: Mapping[str, Any]) -> dict[str, Any]:
    zone, impact = reader.zone, incident.impact
    lead = lead_time_seconds(incident)
    notes = [n for n in incident.notes if n.visibility == "public"][-PUBLIC_NOTES:]
    return {
        "number": incident.number,
        "url": f"{reader.public_url}/incidents/{incident.id}",
        "headline": _line(incident.title),
        "severity": incident.severity.word,
        "reason": incident.status_reason,
        "reporters": impact.reporters,
        "reports": impact.reports,
        "users": reader.users,
        "failing": impact.locations_failing,
        "locations": impact.locations_total,
        "networks": incident.networks if incident.origin is Origin.LOCAL else (),
        "confidence": confidence_label(incident.confidence),
        "confidence_percent": round(100 * incident.confidence),
        "own_evidence": incident.detected_at is not None,
        "detected_at": _local(incident.detected_at, zone),
        "published_at": _local(incident.vendor_published_at, zone),
        "lead": None if lead is None else timedelta(seconds=lead),
        "advisories": tuple(
            {"id": a.id, "title": _line(a.title), "status": a.status, "withdrawn": a.withdrawn}
            for a in incident.advisories
        ),
        "cause_text": _line(incident.cause_text or ""),
        "resolution": None if incident.resolution is None else incident.resolution.value,
        "disagreement": incident.disagreement,
        "stale_sources": incident.stale_sources,
        "public_notes": tuple(_line(n.text) for n in notes),
        "codes": _codes(evidence),
        "signins": judge_signins(incident, evidence),
        "window": (incident.onset_at, incident.resolved_at),
    }


def _line(text: str) -> str:
    return " ".join(text.split())


def _local(at: datetime | None, zone: tzinfo) -> datetime | None:
    return None if at is None else at.astimezone(zone)


def _codes(evidence: Mapping[str, Any]) -> tuple[str, ...]:
    """Error codes that users see, from the samples of their reports; in order of appearance."""
    found = [
        str(sample["code"])
        for cell in evidence.get("cells") or ()
        if cell.get("source") == "client_report"
        for sample in cell.get("exemplars") or ()
        if sample.get("code")
    ]
    return tuple(dict.fromkeys(found))[:CODES]
