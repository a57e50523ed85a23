"""Symptoms: the catalogue by which errors are read, what one error matches, and unknown codes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Protocol, cast

from fastapi import Query, Request
from pydantic import Field, model_validator

from app.api.deps import App, Reader, context_of, problems, resource, tenants_of
from app.api.v1.schemas import COUNTED, In, Out
from app.core.arrival import Classified
from app.core.types import Client, Symptom
from app.store import unmapped

router = resource("Symptoms")

Limit = Annotated[int, Query(ge=1, le=500)]
LEAST_SHOWN = 5  # a group of fewer is not shown outside the tenant


class Table(Protocol):
    """The symptom table."""

    version: int
    rows: tuple[Mapping[str, Any], ...]
    sources: Mapping[str, str]
    closed: Mapping[str, Symptom]

    def matches(
        self,
        code: str | None,
        http_status: int | None,
        message: str | None,
        *,
        client: Client | None = None,
    ) -> Sequence[Classified]:
        """Everything that an error matches, the deciding one first."""
        ...


class Curated(Protocol):
    """The doors, as far as this file looks at them."""

    @property
    def symptoms(self) -> Table:
        """The table."""


class WithTable(App, Protocol):
    """The application context with its doors."""

    @property
    def doors(self) -> Curated:
        """The doors, which read errors by the table."""


class SymptomRule(Out):
    """One rule of the catalogue."""

    id: str
    family: str
    match: str
    pattern: str
    symptom: Symptom
    fine: str
    tier: str
    kind: str
    weight: float
    attack_weight: float
    desync: bool
    note: str | None
    source: str


class SymptomCatalogue(Out):
    """The catalogue; ``sources`` says where each rule's meaning comes from."""

    version: int
    items: list[SymptomRule]
    sources: dict[str, str]


class ErrorIn(In):
    """An error as a report would bring it; nothing of it is stored."""

    code: str | None = Field(default=None, max_length=120)
    http_status: Annotated[int, Field(ge=100, le=599), COUNTED] | None = None
    message: str | None = Field(default=None, max_length=16_384)
    client: Client | None = None

    @model_validator(mode="after")
    def _something(self) -> "ErrorIn":
        if not (self.code or self.http_status or self.message):
            msg = "Give at least one of code, http_status, message."
            raise ValueError(msg)
        return self


class MatchOut(Out):
    """One rule that matched, and on which words."""

    rule: str | None
    words: str | None
    symptom: Symptom
    fine: str | None
    tier: str | None
    kind: str | None
    weight: float
    desync: bool
    source: str | None


class ErrorReading(Out):
    """What an error is read as: the first match decides; none means ``other``."""

    symptom: Symptom
    matches: list[MatchOut]


class UnmappedCode(Out):
    """A code that the catalogue does not know."""

    tenant: str
    code: str
    client: str
    service: str
    count: int
    first_at: datetime
    last_at: datetime
    sample: str | None


class UnmappedCodes(Out):
    """The unknown codes that were met most often."""

    items: list[UnmappedCode]


@router.get("/symptoms")
async def list_symptoms(request: Request, caller: Reader) -> SymptomCatalogue:
    """List the rules by which codes and texts are read, with tier, class, weight and source."""
    del caller
    table = _table(request)
    return SymptomCatalogue(
        version=table.version,
        items=[_rule(row, table.closed) for row in table.rows],
        sources=dict(table.sources),
    )


@router.get("/symptoms/unmapped")
async def list_unmapped_codes(request: Request, caller: Reader, limit: Limit = 50) -> UnmappedCodes:
    """List the codes that the catalogue does not know, those met most often first.

    An operator's key, which is outside the tenant, sees those that were met five times or more.
    """
    app = context_of(request)
    tenants = tenants_of(app, caller)
    least = LEAST_SHOWN if caller.operator else 1
    found = await app.db.read(lambda c: unmapped.top(c, tenants, limit, least=least))
    return UnmappedCodes(
        items=[
            UnmappedCode(
                tenant=tenant,
                code=one.code,
                client=one.client,
                service=one.service,
                count=one.count,
                first_at=one.first_at,
                last_at=one.last_at,
                sample=one.sample,
            )
            for tenant, one in found
        ]
    )


@router.post("/symptoms/read", responses=problems(422))
async def read_error(body: ErrorIn, request: Request, caller: Reader) -> ErrorReading:
    """Say what an error would be read as, by which rules, and on which words."""
    del caller
    found = _table(request).matches(body.code, body.http_status, body.message, client=body.client)
    return ErrorReading(
        symptom=found[0].symptom if found else Symptom.OTHER,
        matches=[
            MatchOut(
                rule=one.rule,
                words=one.words,
                symptom=one.symptom,
                fine=one.fine,
                tier=one.tier,
                kind=one.kind,
                weight=one.weight,
                desync=one.desync,
                source=one.source,
            )
            for one in found
        ],
    )


def _table(request: Request) -> Table:
    return cast("WithTable", context_of(request)).doors.symptoms


def _rule(row: Mapping[str, Any], closed: Mapping[str, Symptom]) -> SymptomRule:
    return SymptomRule(
        id=row["id"],
        family=row["family"],
        match=row["match_kind"],
        pattern=row["pattern"],
        symptom=closed[row["symptom"]],
        fine=row["symptom"],
        tier=row["tier"],
        kind=row["class"],
        weight=row["outage_weight"],
        attack_weight=row["attack_weight"],
        desync=row.get("desync", False),
        note=row.get("note"),
        source=row["source_key"],
    )
