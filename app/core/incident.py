"""The incident: one disturbance as users experience it, and what may follow what."""

from dataclasses import dataclass, field
from datetime import datetime

from app.core.types import (
    Client,
    Disagreement,
    ImpactLevel,
    IncidentId,
    Origin,
    Resolution,
    Severity,
    Status,
    Symptom,
    TenantId,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """How many are affected, from reports and probes."""

    level: ImpactLevel = ImpactLevel.UNKNOWN
    reporters: int = 0
    reports: int = 0
    locations_failing: int = 0
    locations_total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceSummary:
    """One source's share of the evidence. ``weight`` in nats."""

    count: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    weight: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One line of the explanation. ``effect`` is ``+`` (for) or ``-`` (against); weight in nats."""

    reason: str
    effect: str
    weight: float
    text: str
    source: str | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedAdvisory:
    """What an incident keeps of an advisory that belongs to it."""

    id: str
    title: str
    classification: str
    status: str
    condition: str
    published_at: datetime | None
    started_at: datetime
    is_resolved: bool
    withdrawn: bool = False
    score: float = 1.0
    linked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A person's (or mirror's) note."""

    at: datetime
    by: str
    text: str
    visibility: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """That a person let one message out: its words, for whom, in which phase and revision."""

    at: datetime
    by: str
    audience: str
    language: str
    phase: str
    revision: int
    title: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """The whole state of one incident; the fold alone makes new ones.

    ``key`` is the engine's own name for the fault domain it stands for (``vendor:exchange-online``,
    ``local:berlin-office``, ``advisory:EX1``, ``person:…``); ``onset_at`` is its estimated onset.
    """

    id: IncidentId
    number: str
    tenant: TenantId
    revision: int
    key: str
    title: str
    summary: str
    status: Status
    status_reason: str
    severity: Severity
    origin: Origin
    services: tuple[str, ...]
    opened_at: datetime
    updated_at: datetime
    onset_at: datetime
    features: tuple[str, ...] = ()
    clients: tuple[Client, ...] = ()
    symptoms: tuple[Symptom, ...] = ()
    regions: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    impact: Impact = Impact()
    confidence: float = 0.0
    evidence: dict[str, EvidenceSummary] = field(default_factory=dict)
    explanation: tuple[Reason, ...] = ()
    advisories: tuple[LinkedAdvisory, ...] = ()
    disagreement: Disagreement = Disagreement.NONE
    cause_category: str | None = None
    cause_text: str | None = None
    cause_source: str | None = None
    resolution: Resolution | None = None
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None
    acknowledged_note: str | None = None
    assignee_id: str | None = None
    assignee_name: str | None = None
    assignee_by: str | None = None
    severity_pinned: bool = False
    severity_measured: Severity = Severity.UNKNOWN  # the engine's own, kept while a person's holds
    suppressed: str | None = None
    stale_sources: tuple[str, ...] = ()
    first_signal_at: datetime | None = None
    detected_at: datetime | None = None
    confirmed_at: datetime | None = None
    vendor_started_at: datetime | None = None
    vendor_published_at: datetime | None = None
    mitigated_at: datetime | None = None
    resolved_at: datetime | None = None
    closed_at: datetime | None = None
    merged_into: IncidentId | None = None
    merged_from: tuple[IncidentId, ...] = ()
    split_from: IncidentId | None = None
    related_to: IncidentId | None = None
    pins: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    approvals: tuple[Approval, ...] = ()
    by_person: bool = False
    vanished_at: datetime | None = None  # since when no evidence of ours stands for it
    held: bool = False  # a person ended it while evidence was bad: wait for quiet before a relapse


def confidence_label(confidence: float) -> str:
    """Put a probability (0 to 1) into a word: high from 0.9, medium from 0.5, else low."""
    if confidence >= 0.9:  # noqa: PLR2004 - the scale is this function
        return "high"
    return "medium" if confidence >= 0.5 else "low"  # noqa: PLR2004 - the scale is this function
