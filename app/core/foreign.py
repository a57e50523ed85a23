"""Foreign bodies: what other people's programs send, before it has the shape of our own doors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from app.core.batch import Batch
from app.core.signal import Advisory
from app.core.types import TenantId

# Members of the documents of our own two doors; a test holds them equal to what the doors read.
RESULT_MEMBERS = frozenset(
    {
        "id", "probe", "occurred_at", "location", "service", "feature", "client", "outcome",
        "symptom", "http_status", "error", "latency_ms", "phases", "self_check", "answer",
        "diagnostics", "region",
    }
)  # fmt: skip
REPORT_MEMBERS = frozenset(
    {
        "id", "occurred_at", "service", "client", "code", "http_status", "message", "symptom",
        "reporter", "device", "region", "network", "count",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What the address of the door says where the body does not: from where, and of what.

    ``location`` and ``service`` come from the query; ``received_as`` is the media type, in lower
    case and without parameters.
    """

    location: str | None = None
    service: str | None = None
    received_as: str = "application/json"


@dataclass(frozen=True, slots=True)
class Refused:
    """One record of a foreign body that cannot be taken. ``pointer`` is a JSON Pointer in it."""

    index: int
    detail: str
    pointer: str = ""


@dataclass(slots=True)
class Foreign:
    """What a foreign body was read as.

    ``results`` and ``reports`` are documents in the shape of ``POST /v1/probe-results`` and
    ``POST /v1/client-reports``, each with the index of its record in the body. ``holds`` says of
    some results, by their place in ``results``, how long they stand: their sender speaks only when
    something changes. ``passed_over`` counts records that say nothing we keep, such as test
    messages.
    """

    results: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    reports: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    advisories: list[tuple[Advisory, bytes]] = field(default_factory=list)
    holds: dict[int, timedelta] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    passed_over: int = 0

    def add_result(
        self, index: int, document: Mapping[str, Any], *, hold: timedelta | None = None
    ) -> None:
        """Add a probe result; members that are None are left out."""
        if hold is not None:
            self.holds[len(self.results)] = hold
        self.results.append((index, _told(document)))

    def add_report(self, index: int, document: Mapping[str, Any]) -> None:
        """Add a client report; members that are None are left out."""
        self.reports.append((index, _told(document)))

    def refuse(self, index: int, detail: str, pointer: str = "") -> None:
        """Name a record that cannot be taken."""
        self.refused.append(Refused(index, detail, pointer))


class ForeignFormat(Protocol):
    """Reads the bodies of one foreign program. It is pure: the same body, the same documents."""

    name: str
    media: frozenset[str]

    def read(self, body: bytes, *, hints: Hints, now: datetime) -> Foreign:
        """Read a body that arrived now; bad records are told apart from good ones.

        Raises:
            UnreadablePayload: the body as a whole cannot be read.
        """
        ...


class Parsed(Protocol):
    """What a reader of our own documents made of a body."""

    @property
    def batch(self) -> Batch:
        """The good records."""

    @property
    def rejected(self) -> Any:
        """The refused ones, each with ``index``, ``detail`` and ``pointer``, by index."""


class DocumentReader(Protocol):
    """Reads bodies of one of our own two doors."""

    def parse(
        self, tenant: TenantId, body: bytes, content_type: str | None, *, now: datetime
    ) -> Parsed:
        """Read a body that arrived now."""
        ...


def _told(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None}
