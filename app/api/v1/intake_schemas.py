"""The documented shapes of client reports, probe results and the answer to them.

The hot path validates with ``app.sources``; a test holds both equal over a corpus of bodies.
"""

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from app.api.v1.schemas import ServiceWord
from app.core.types import Client, Outcome, SelfCheck, Symptom
from app.kit.wire import ARRAY_LIMIT, LINE_LIMIT

PAGE_LIMIT = 50  # reports of one call of a page
STRICT = ConfigDict(extra="forbid", strict=True)

Id = Annotated[str, Field(min_length=1, max_length=200)]
Word = Annotated[str, Field(max_length=256)]
Place = Annotated[str, Field(max_length=100)]
Milliseconds = Annotated[float, Field(ge=0, le=86_400_000)]
HttpStatus = Annotated[int, Field(ge=100, le=599)]
OCCURRED = (
    "RFC 3339 with offset; absent: the time of arrival. More than 5 minutes ahead of us is taken "
    "as now; older than the lateness window (2 hours) is evidence that opens nothing."
)


class ClientReportIn(BaseModel):
    """One error met by a user's program; one of symptom, code, http_status, message is needed."""

    model_config = STRICT

    service: Annotated[
        ServiceWord,
        Field(min_length=1, max_length=100, description="A slug or name of GET /v1/services."),
    ]
    id: Annotated[Id | None, Field(description="Yours; a repetition is counted once.")] = None
    occurred_at: Annotated[AwareDatetime | None, Field(description=OCCURRED)] = None
    client: Client | None = None
    code: Annotated[
        Annotated[str, Field(max_length=120)] | None,
        Field(description="The error code, such as 0x8004011D, AADSTS90033 or 4.7.0."),
    ] = None
    http_status: HttpStatus | None = None
    message: Annotated[
        Annotated[str, Field(max_length=16_384)] | None,
        Field(description="What the user saw; addresses, tokens and queries are taken out."),
    ] = None
    symptom: Symptom | None = None
    reporter: Annotated[Word | None, Field(description="Any stable id; hashed at the door.")] = None
    device: Annotated[Word | None, Field(description="Stands in for the reporter.")] = None
    region: Annotated[str, Field(max_length=64)] | None = None
    network: Annotated[Word | None, Field(description="Site or network of the user.")] = None
    count: Annotated[
        Annotated[int, Field(ge=1, le=1_000_000)] | None,
        Field(description="Repetitions met by this one reporter."),
    ] = None


Told = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=40)],
        Annotated[str, Field(max_length=200)],
    ],
    Field(max_length=24),
]


class Phases(BaseModel):
    """How long each phase of a check took."""

    model_config = STRICT

    dns_ms: Milliseconds | None = None
    connect_ms: Milliseconds | None = None
    tls_ms: Milliseconds | None = None
    first_byte_ms: Milliseconds | None = None


class ProbeResultIn(BaseModel):
    """One run of a check from one location."""

    model_config = STRICT

    probe: Annotated[str, Field(min_length=1, max_length=200, description="Name of the check.")]
    outcome: Outcome
    id: Annotated[Id | None, Field(description="Yours; a repetition is counted once.")] = None
    occurred_at: Annotated[AwareDatetime | None, Field(description=OCCURRED)] = None
    location: Annotated[Place | None, Field(description="Where it ran; absent: default.")] = None
    service: Annotated[
        Annotated[ServiceWord, Field(max_length=100)] | None,
        Field(description="A slug or name of GET /v1/services."),
    ] = None
    feature: Place | None = None
    client: Client | None = None
    symptom: Symptom | None = None
    http_status: HttpStatus | None = None
    error: Annotated[str, Field(max_length=16_384)] | None = None
    latency_ms: Milliseconds | None = None
    phases: Phases | None = None
    self_check: Annotated[
        SelfCheck | None,
        Field(description="failed: the location itself was unwell, so the result has no weight."),
    ] = None
    answer: Annotated[
        Told | None,
        Field(description="Aspects of the answer (status, challenge, …): learned as healthy."),
    ] = None
    diagnostics: Annotated[
        Told | None, Field(description="What a support case needs, such as request-id.")
    ] = None
    region: (
        Annotated[str, Field(max_length=64, description="Whom it stands for, as `de`.")] | None
    ) = None


class Rejection(BaseModel):
    """One record that was refused."""

    index: Annotated[int, Field(description="Place in the array, or line, counted from 0.")]
    detail: str
    pointer: Annotated[str, Field(description="JSON Pointer within the record.")]


class IntakeReceipt(BaseModel):
    """What is durable now."""

    intake_id: str
    accepted: int
    duplicates: Annotated[int, Field(description="Records that had been stored before.")]
    rejected: list[Rejection]


REF = "#/components/schemas/{model}"


def components() -> dict[str, Any]:
    """The schemas of what comes in, by name; of a page, the service may stand in the query."""
    made: dict[str, Any] = {}
    for model in (ClientReportIn, ProbeResultIn):
        schema = model.model_json_schema(ref_template=REF)
        made |= schema.pop("$defs", {})
        made[model.__name__] = schema
    page = {key: value for key, value in made["ClientReportIn"].items() if key != "required"}
    made["PageReportIn"] = page | {"title": "PageReportIn", "minProperties": 1}
    return made


def request_body(name: str, most: int = ARRAY_LIMIT) -> dict[str, Any]:
    """The OpenAPI request body for one record, an array or lines of one of the components."""
    record = {"$ref": REF.format(model=name)}
    array = {"type": "array", "items": record, "minItems": 1, "maxItems": most}
    lines = {
        "type": "string",
        "description": f"One record per line, at most {LINE_LIMIT:,} lines.",
    }
    content = {
        "application/json": {"schema": {"anyOf": [record, array]}},
        "application/x-ndjson": {"schema": lines},
        "application/jsonl": {"schema": lines},
    }
    return {"requestBody": {"required": True, "content": content}}


def page_body() -> dict[str, Any]:
    """The OpenAPI request body of a page."""
    body = request_body("PageReportIn", PAGE_LIMIT)
    del body["requestBody"]["content"]["application/json"]["schema"]["anyOf"][1]["minItems"]
    del body["requestBody"]["content"]["application/jsonl"]
    return body
