"""Output schemas that several resources share; outputs have no defaults, so all keys are there."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, Strict
from pydantic_core import PydanticCustomError

from app.core.types import (
    Client,
    Condition,
    Disagreement,
    ImpactLevel,
    Origin,
    Resolution,
    Status,
    Symptom,
)

WRITTEN = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")


def _written(value: Any) -> Any:
    """Refuse what the framework would take for seconds since 1970."""
    if isinstance(value, datetime) or (isinstance(value, str) and WRITTEN.match(value)):
        return value
    raise PydanticCustomError("instant", "Write an instant as RFC 3339 does, with its offset")


def _counted(value: Any) -> Any:
    """Refuse what is no number in JSON; 7.0 is a whole one there."""
    if isinstance(value, bool | str):
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_written)]
COUNTED = BeforeValidator(_counted)  # last, or the schema loses the bounds
Number = Annotated[float, Strict()]
ServiceWord = Annotated[str, Field(json_schema_extra={"format": "service"})]
SeverityWord = Literal["critical", "major", "minor", "warning", "info", "unknown"]
ChosenSeverity = Literal["critical", "major", "minor", "warning", "info"]
LabelName = Annotated[str, Field(min_length=1, max_length=64)]
LabelValue = Annotated[str, Field(max_length=200)]
Labels = Annotated[dict[LabelName, LabelValue], Field(max_length=20)]


def without_null(schema: dict[str, Any]) -> None:
    """Take null out of the members of a patch: what is not to change is left out."""
    for name, member in schema["properties"].items():
        kept = [one for one in member.pop("anyOf", []) if one != {"type": "null"}]
        if len(kept) == 1:
            title = member.get("title")
            schema["properties"][name] = kept[0] | ({"title": title} if title else {})


class Out(BaseModel):
    """Base of every answer: what is not declared is a bug."""

    model_config = ConfigDict(extra="forbid")


class In(BaseModel):
    """Base of every request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class ImpactOut(Out):
    """How many are affected."""

    level: ImpactLevel
    reporters: int
    reports: int
    locations_failing: int
    locations_total: int


class EvidenceShareOut(Out):
    """One source's share of the evidence; weight in nats."""

    count: int
    first_at: datetime | None
    last_at: datetime | None
    weight: float


class EvidenceSharesOut(Out):
    """The three sightings."""

    advisory: EvidenceShareOut
    probe: EvidenceShareOut
    client_report: EvidenceShareOut


class ReasonOut(Out):
    """One line of the explanation, for or against."""

    reason: str
    effect: Literal["+", "-"]
    weight: float
    text: str
    source: str | None
    at: datetime


class LinkedAdvisoryOut(Out):
    """An advisory that belongs to the incident."""

    id: str
    title: str
    classification: str
    status: str
    condition: Condition
    published_at: datetime | None
    started_at: datetime
    is_resolved: bool
    withdrawn: bool
    url: str


class CauseOut(Out):
    """What is said to have caused it."""

    category: str
    text: str
    source: str | None


class AcknowledgedOut(Out):
    """Who took notice."""

    by: str
    at: datetime
    note: str | None


class AssigneeOut(Out):
    """Who works on it; ``by`` is ``person`` or ``mirror:NAME``."""

    id: str
    name: str | None
    by: str | None


class LinkRefOut(Out):
    """A remote record that is kept in step."""

    system: str
    number: str | None
    url: str | None
    state: str


class IncidentOut(Out):
    """One disturbance as users experience it."""

    id: str
    number: str
    tenant: str
    revision: int
    url: str
    title: str
    summary: str
    status: Status
    status_reason: str
    severity: SeverityWord
    services: list[str]
    features: list[str]
    clients: list[Client]
    symptoms: list[Symptom]
    regions: list[str]
    origin: Origin
    impact: ImpactOut
    confidence: float = Field(ge=0, le=1)
    confidence_label: Literal["high", "medium", "low"]
    evidence: EvidenceSharesOut
    explanation: list[ReasonOut]
    advisories: list[LinkedAdvisoryOut]
    disagreement: Disagreement
    cause: CauseOut | None
    resolution: Resolution | None
    acknowledged: AcknowledgedOut | None
    assignee: AssigneeOut | None
    suppressed: str | None
    stale_sources: list[str]
    first_signal_at: datetime | None
    detected_at: datetime | None
    confirmed_at: datetime | None
    vendor_started_at: datetime | None
    vendor_published_at: datetime | None
    mitigated_at: datetime | None
    resolved_at: datetime | None
    closed_at: datetime | None
    updated_at: datetime
    lead_time_seconds: int | None
    merged_into: str | None
    merged_from: list[str]
    split_from: str | None
    related_to: str | None
    pins: list[str]
    labels: dict[str, str]
    links: list[LinkRefOut]


class IncidentPage(Out):
    """One page of incidents, newest first."""

    items: list[IncidentOut]
    next: str | None


class MinuteOut(BaseModel):
    """One minute of a cell."""

    model_config = ConfigDict(extra="allow")

    minute: datetime
    count: int
    reporters: int
    expected: float | None


class CellOut(BaseModel):
    """Counts of one scope and symptom by one source, per minute, with a few sample signals."""

    model_config = ConfigDict(extra="allow")

    id: str
    source: Literal["probe", "client_report"]
    service: str
    feature: str | None
    client: str | None
    symptom: str | None
    region: str | None
    location: str | None
    first_at: datetime | None
    last_at: datetime | None
    count: int
    reporters: int
    series: list[MinuteOut]
    exemplars: list[dict[str, Any]]


class EvidenceOut(BaseModel):
    """What an incident rests on."""

    model_config = ConfigDict(extra="allow")

    advisories: list[dict[str, Any]]
    cells: list[CellOut]


class ActorOut(Out):
    """Who made an event happen."""

    kind: Literal["engine", "person", "source", "mirror"]
    id: str


class EventFactsOut(BaseModel):
    """What an event tells; ``changed`` and ``previous`` name fields of the incident.

    Events about no incident lack the first three. Some types add facts of their own, and
    ``truncated: true`` says that long texts were cut.
    """

    model_config = ConfigDict(extra="allow")

    incident: IncidentOut | None = None
    changed: list[str] | None = None
    previous: dict[str, Any] | None = None
    reason: str
    actor: ActorOut


class EventOut(Out):
    """One past-tense fact; the same bytes here, in webhooks and in streams."""

    id: str
    type: str
    version: Literal[1]
    occurred_at: datetime
    tenant: str
    sequence: int
    data: EventFactsOut


class EventPage(Out):
    """One page of events, oldest first."""

    items: list[EventOut]
    next: str | None


class FeedPage(Out):
    """A stretch of the feed; ``next`` is always a cursor to go on from."""

    items: list[EventOut]
    next: str


class ProblemErrorOut(BaseModel):
    """One fault of a request."""

    pointer: str
    detail: str
    index: int | None = None


class ProblemOut(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str | None
    errors: list[ProblemErrorOut] | None = None
