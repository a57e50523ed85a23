"""What each event type says, as models: of them come the webhooks and ``openapi/events``.

Imported only where a document is made: a start must not pay for these models.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.json_schema import models_json_schema

from app.api.v1.schemas import ActorOut, IncidentOut, Out, SeverityWord
from app.core.events import EventType
from app.core.types import Status

REF = "#/components/schemas/{model}"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
NATIVE, CLOUD = "application/json", "application/cloudevents+json"

# What each event says; a type without a sentence here fails the build.
SENTENCES: Mapping[EventType, str] = {
    EventType.OPENED: "An incident was opened, suspected or confirmed.",
    EventType.CONFIRMED: "An incident was confirmed.",
    EventType.UPDATED: "Something that a receiver can see changed; `changed` lists it.",
    EventType.MITIGATING: "A fix is on its way.",
    EventType.MONITORING: "A fix is said to be in place and is being watched.",
    EventType.RESOLVED: "An incident was resolved on evidence, or by a person.",
    EventType.REOPENED: "A resolved incident goes on, or its end was taken back.",
    EventType.CLOSED: "A resolved incident was closed for good.",
    EventType.DISMISSED: "An incident turned out to be none.",
    EventType.MERGED: "An incident was merged into another; `merged_into` names it.",
    EventType.SPLIT: "Evidence of an incident went on as another one.",
    EventType.ACKNOWLEDGED: "Someone took notice.",
    EventType.NOTED: "A note was added.",
    EventType.ADVISORY_LINKED: "An advisory joined the incident.",
    EventType.ADVISORY_UPDATED: "A linked advisory changed.",
    EventType.SOURCE_STALE: "A source cannot be read; what it said is no longer trusted.",
    EventType.SOURCE_RECOVERED: "A stale source is read again.",
    EventType.SOURCE_UNKNOWN_VALUE: "A source used a word that has no meaning here.",
    EventType.SUBSCRIPTION_FAILING: "A receiver refuses or does not answer.",
    EventType.SUBSCRIPTION_DISABLED: "A subscription was switched off.",
    EventType.SUBSCRIPTION_RECOVERED: "A failing receiver takes deliveries again.",
    EventType.SUBSCRIPTION_REPLAY_FINISHED: "A replay is through.",
    EventType.CHANNEL_FAILING: "A channel or mirror is refused, or not reached any more.",
    EventType.CHANNEL_RECOVERED: "A channel or mirror that failed works again.",
    EventType.LINK_CONFLICT: "A remote record was changed by a person in a way we respect.",
    EventType.TEST_PING: "A test; it says nothing of any incident.",
}


class Data(Out):
    """What every event says. ``truncated`` is there, and true, when long texts were cut."""

    reason: str
    actor: ActorOut
    truncated: Literal[True] | None = None


class ThinIncidentOut(Out):
    """What names an incident and says how it stands; sent where ``detail`` is ``thin``."""

    id: str
    number: str
    revision: int
    status: Status
    severity: SeverityWord
    title: str
    services: list[str]
    url: str
    updated_at: datetime


class IncidentData(Data):
    """About an incident, as it is after the event; ``undone`` is the event that was taken back."""

    incident: IncidentOut | ThinIncidentOut
    changed: list[str]
    previous: dict[str, Any]
    undone: str | None = None


class SplitData(IncidentData):
    """A split: what went on as the other incident, by the ids of ``/evidence``."""

    split_into: str
    evidence: list[str]


class OpenedData(IncidentData):
    """An opening; ``advisory`` is the vendor's id where one was there from the first moment."""

    advisory: str | None = None


class AdvisoryData(IncidentData):
    """A change by an advisory, named by the vendor's id."""

    advisory: str


class NoteOut(Out):
    """A note."""

    text: str
    visibility: Literal["internal", "public"] | None = None


class AnnouncementOut(Out):
    """A message to people that somebody let out, as it stood then."""

    audience: Literal["users", "help_desk", "executives", "soc"]
    language: str
    phase: Literal["first_notice", "update", "mitigated", "resolved"]
    title: str
    text: str


class NotedData(IncidentData):
    """A note on an incident; with `announcement` it is that a message was let out."""

    note: NoteOut
    announcement: AnnouncementOut | None = None


class StaleReasonOut(Out):
    """Why a source cannot be read, and what to do."""

    code: str
    text: str
    remedy: str


class SourceData(Data):
    """About a source."""

    source: str
    kind: str


class StaleData(SourceData):
    """A source that is no longer read."""

    last_complete_at: datetime | None
    error: StaleReasonOut | None


class FreshData(SourceData):
    """A source that is read again."""

    stale_since: datetime | None


class UnknownValueData(SourceData):
    """A word of a source."""

    field: str
    value: str


class NamedSubscriptionOut(Out):
    """A subscription, by its name."""

    id: str
    description: str


class StandingSubscriptionOut(NamedSubscriptionOut):
    """A subscription, how it stands and why."""

    state: Literal["active", "failing", "disabled"]
    cause: str


class StandingData(Data):
    """How a subscription stands now."""

    subscription: StandingSubscriptionOut


class SubscriptionIdOut(Out):
    """A subscription, by its id."""

    id: str


class FinishedReplayOut(Out):
    """What came of a replay."""

    id: str
    select: Literal["failed", "missing", "all"]
    planned: int
    delivered: int
    parked: int


class ReplayData(Data):
    """A replay that is through."""

    subscription: SubscriptionIdOut
    replay: FinishedReplayOut


class ChannelData(Data):
    """About a channel or mirror, by its name; `why` is a sentence with what to do about it."""

    channel: str
    kind: str
    failing_since: datetime
    cause: Literal["refused", "unreached", "worked"]
    why: str


class ConflictOut(BaseModel):
    """A remote record that is in conflict."""

    model_config = ConfigDict(extra="allow")

    id: str
    incident: str
    system: str


class ConflictData(Data):
    """A conflict with a remote record."""

    link: ConflictOut


class PingData(Data):
    """A test of a subscription."""

    subscription: NamedSubscriptionOut


DATA: Mapping[EventType, type[Data]] = {
    EventType.OPENED: OpenedData,
    EventType.CONFIRMED: IncidentData,
    EventType.UPDATED: IncidentData,
    EventType.MITIGATING: IncidentData,
    EventType.MONITORING: IncidentData,
    EventType.RESOLVED: IncidentData,
    EventType.REOPENED: IncidentData,
    EventType.CLOSED: IncidentData,
    EventType.DISMISSED: IncidentData,
    EventType.MERGED: IncidentData,
    EventType.SPLIT: IncidentData,
    EventType.ACKNOWLEDGED: IncidentData,
    EventType.NOTED: NotedData,
    EventType.SPLIT: SplitData,
    EventType.ADVISORY_LINKED: AdvisoryData,
    EventType.ADVISORY_UPDATED: AdvisoryData,
    EventType.SOURCE_STALE: StaleData,
    EventType.SOURCE_RECOVERED: FreshData,
    EventType.SOURCE_UNKNOWN_VALUE: UnknownValueData,
    EventType.SUBSCRIPTION_FAILING: StandingData,
    EventType.SUBSCRIPTION_DISABLED: StandingData,
    EventType.SUBSCRIPTION_RECOVERED: StandingData,
    EventType.SUBSCRIPTION_REPLAY_FINISHED: ReplayData,
    EventType.LINK_CONFLICT: ConflictData,
    EventType.CHANNEL_FAILING: ChannelData,
    EventType.CHANNEL_RECOVERED: ChannelData,
    EventType.TEST_PING: PingData,
}


def native(kind: EventType) -> type[BaseModel]:
    """The model of one type's native body.

    Raises:
        KeyError: the type is not described.
    """
    fields: dict[str, Any] = {
        "id": str,
        "type": Literal[kind.value],
        "version": Literal[1],
        "occurred_at": datetime,
        "tenant": str,
        "sequence": (int, Field(ge=0)),
        "data": DATA[kind],
    }
    return _model(kind, "Event", fields)


def cloud(kind: EventType) -> type[BaseModel]:
    """The model of one type's CloudEvents 1.0 body."""
    fields: dict[str, Any] = {
        "specversion": Literal["1.0"],
        "id": str,
        "source": str,
        "type": Literal[kind.value],
        "time": datetime,
        "datacontenttype": Literal["application/json"],
        "sequence": (str, Field(pattern=r"^\d+$")),
        "data": DATA[kind],
    }
    if issubclass(DATA[kind], IncidentData):
        fields["subject"] = str
    return _model(kind, "CloudEvent", fields)


def _model(kind: EventType, suffix: str, fields: dict[str, Any]) -> type[BaseModel]:
    made: type[BaseModel] = create_model(
        _name(kind) + suffix, __base__=Out, __doc__=SENTENCES[kind], **fields
    )
    return made


def components() -> dict[str, Any]:
    """The schemas of all bodies, for the OpenAPI document."""
    models = [(make(kind), "serialization") for kind in EventType for make in (native, cloud)]
    _, made = models_json_schema(models, ref_template=REF)  # type: ignore[arg-type]  # the mode is a word
    found: dict[str, Any] = _opened(made["$defs"])
    return found


def webhook(kind: EventType) -> dict[str, Any]:
    """The webhook of one type, for the OpenAPI document."""
    headers = [
        {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    ]
    bodies = {NATIVE: _name(kind) + "Event", CLOUD: _name(kind) + "CloudEvent"}
    content = {
        media: {"schema": {"$ref": REF.format(model=model)}} for media, model in bodies.items()
    }
    return {
        "post": {
            "operationId": "receive_" + kind.value.replace(".", "_"),
            "summary": SENTENCES[kind],
            "tags": ["webhooks"],
            "parameters": headers,
            "requestBody": {"required": True, "content": content},
            "responses": {
                "2XX": {"description": "Taken."},
                "410": {"description": "Never again: the subscription is disabled."},
            },
        }
    }


def files() -> dict[str, str]:
    """The JSON Schemas as files: name below ``openapi/events`` → text, each complete in itself."""
    found = {}
    for kind in EventType:
        for folder, make in (("", native), ("cloudevents/", cloud)):
            name = f"{folder}{kind.value}.json"
            schema = _opened(make(kind).model_json_schema(mode="serialization"))
            whole = {"$schema": DIALECT, "$id": f"urn:sextant:events:v1:{name}", **schema}
            found[name] = json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return found


def _name(kind: EventType) -> str:
    return "".join(part.capitalize() for part in kind.value.replace("_", ".").split("."))


def _opened(schema: Any) -> Any:
    """Let receivers pass over what later versions add: the models are closed for ourselves only."""
    if isinstance(schema, dict):
        return {
            key: _opened(value)
            for key, value in schema.items()
            if not (key == "additionalProperties" and value is False)
        }
    return [_opened(value) for value in schema] if isinstance(schema, list) else schema
