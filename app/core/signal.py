"""Signals: the normalized, immutable statements that cross into the core, one class per kind."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from app.core.types import Client, Outcome, SelfCheck, SignalId, Symptom


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientReport:
    """One error met by a user's program.

    ``actor`` is the keyed hash that stands for the reporter (else device, else network, else one
    for all). ``occurred_at`` is when it happened by the reporter's word, never later than arrival.
    ``late`` marks a report older than the lateness window: evidence only, it opens nothing.
    """

    id: SignalId
    service: str
    client: Client
    symptom: Symptom
    actor: str
    occurred_at: datetime
    received_at: datetime
    code: str | None = None
    fine: str | None = None
    http_status: int | None = None
    message: str | None = None
    region: str | None = None
    network: str | None = None
    count: int = 1
    weight: float = 1.0
    late: bool = False
    clamped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """One run of a check from one location.

    ``answer`` maps aspect to value: what the healthy signature is learned from. ``diagnostics``
    holds what a support case needs, and ``fault`` or ``maintenance`` where it has no weight.
    """

    id: SignalId
    probe: str
    location: str
    outcome: Outcome
    occurred_at: datetime
    received_at: datetime
    service: str = "other"
    feature: str | None = None
    client: Client | None = None
    symptom: Symptom | None = None
    http_status: int | None = None
    error: str | None = None
    latency_ms: float | None = None
    phases: dict[str, float] | None = None
    self_check: SelfCheck = SelfCheck.NONE
    region: str | None = None
    late: bool = False
    clamped: bool = False
    answer: dict[str, str] | None = None
    diagnostics: dict[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One post of an advisory. ``text`` is plain (may hold ``<``), ``html`` is sanitized."""

    id: str
    created_at: datetime
    type: str
    text: str
    html: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """What the wording of an advisory was understood to say; ``words`` names what each rests on."""

    features: tuple[str, ...] = ()
    clients: tuple[Client, ...] = ()
    symptoms: tuple[Symptom, ...] = ()
    regions: tuple[str, ...] = ()
    cause: str | None = None
    cause_category: str | None = None
    mitigation: str | None = None
    next_update_at: datetime | None = None
    words: dict[str, str] | None = None
    mitigation_category: str | None = None
    services: tuple[str, ...] = ()  # slugs that the text names, whatever it is filed under


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """One revision of the vendor's own record of trouble, normalized.

    ``id`` is the derived signal id of this revision; ``vendor_id`` is the vendor's (EX…).
    ``primed`` marks what the first complete read brought; ``digest`` is over the meaningful fields.
    """

    id: SignalId
    vendor_id: str
    service: str
    service_name: str
    classification: str
    status: str
    title: str
    impact_description: str
    is_resolved: bool
    started_at: datetime
    last_modified_at: datetime
    first_seen_at: datetime
    received_at: datetime
    digest: str
    origin: str = "microsoft"
    feature: str | None = None
    feature_group: str | None = None
    high_impact: bool | None = None
    stated_started_at: datetime | None = None
    ended_at: datetime | None = None
    published_at: datetime | None = None
    withdrawn: bool = False
    withdrawn_at: datetime | None = None
    primed: bool = False
    understood: Understood = Understood()
    details: tuple[tuple[str, str], ...] = ()
    posts: tuple[Post, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a person or an ITSM wants done. ``incident`` is absent for ``open``.

    ``name`` is one of open, acknowledge, assign, notes, severity, label, resolve, reopen, dismiss,
    merge.
    ``body`` has the shape of the command's request in the API.
    """

    id: SignalId
    name: str
    actor_kind: str
    actor: str
    received_at: datetime
    body: dict[str, Any]
    incident: str | None = None


Signal: TypeAlias = ClientReport | ProbeResult | Advisory | Command


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFreshness:
    """How fresh one source is, as the fold is told. ``kind`` is a ``SourceKind`` value."""

    source: str
    kind: str
    stale: bool
    services: tuple[str, ...] = ()
