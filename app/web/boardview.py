"""View models of the board and of the sources; pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.core.catalogue import OTHER
from app.web.filters import EVERYTHING, Filters
from app.web.views import Card, When, card, when
from app.web.words import CONDITION, SOURCE_KIND, SOURCE_STATE, plural, service_name, word

Document = dict[str, Any]

SIGHTINGS = (
    ("advisory", "What Microsoft says"),
    ("probe", "What probes see"),
    ("client_report", "What users hit"),
)
SHORT = {"advisory": "Microsoft", "probe": "Probes", "client_report": "Users"}
BAD = frozenset({"degraded", "failing"})
RANK = {"failing": 0, "degraded": 1, "unknown": 3, "healthy": 2}
STALE = frozenset({"stale", "failing"})
LOST = frozenset({"stale"})  # a source that fails for less than three intervals is still believed


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnView:
    """One kind of source: its heading and how many of its sources are stale."""

    title: str
    lost: int
    all: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CellView:
    """One service as one kind of source tells it. A stale cell never shows as healthy."""

    column: str
    condition: str
    label: str
    as_of: When | None
    stale: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceView:
    """One row of the board."""

    slug: str
    name: str
    condition: str
    label: str
    cells: tuple[CellView, ...]
    incidents: tuple[Card, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceView:
    """One source: how fresh it is and what to do when it is not."""

    id: str
    name: str
    kind: str
    state: str
    label: str
    last: When | None
    error: str
    remedy: str
    unreadable: int
    budget: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """The whole board.

    ``calm`` are the services for which Microsoft alone vouches, ``dark`` those of which it alone
    spoke and whose last word is stale; ``unheard`` are those of which nobody ever spoke.
    ``hidden`` counts the open incidents that the filters leave out.
    """

    verdict: str
    tone: str
    open: tuple[Card, ...]
    recent: tuple[Card, ...]
    columns: tuple[ColumnView, ...]
    services: tuple[ServiceView, ...]
    calm: tuple[ServiceView, ...]
    dark: tuple[ServiceView, ...]
    unheard: tuple[ServiceView, ...]
    sources: tuple[SourceView, ...]
    is_empty: bool
    hidden: int = 0


def board_of(
    services: Sequence[Document],
    sources: Sequence[Document],
    incidents: Sequence[Document],
    recent: Sequence[Document],
    now: datetime,
    *,
    wanted: Filters = EVERYTHING,
) -> Board:
    """Build the board.

    Args:
        services: the services documents.
        sources: the sources documents.
        incidents: the open incidents, in any order.
        recent: incidents that ended lately, newest first.
        now: the present instant.
        wanted: what the reader narrows the board to.
    """
    everything = len(incidents)
    incidents = [item for item in incidents if wanted.admits(item)]
    recent = [item for item in recent if wanted.admits(item)]
    services = [item for item in services if wanted.admits_service(item, incidents)]
    cards = tuple(sorted((card(item, now) for item in incidents), key=_urgency))
    lost = _stale_kinds(sources)
    rows = [_service(item, lost, cards, now) for item in services]
    # What is known of no service of the catalogue is a row only while something is wrong.
    rows = [row for row in rows if row.slug != OTHER or row.condition in BAD or row.incidents]
    rows.sort(key=lambda row: (RANK[row.condition], row.name))
    heard = [row for row in rows if _is_heard(row)]
    unheard = [row for row in rows if row not in heard]
    dark = [] if wanted.words else [row for row in heard if _is_dark(row)]
    lit = [row for row in heard if row not in dark]
    known = [row for row in lit if not _is_calm(row)] or lit
    calm = [row for row in lit if row not in known]
    views = tuple(source_view(item, now) for item in sources)
    verdict, tone = _verdict(cards, heard, views)
    return Board(
        verdict=verdict,
        tone=tone,
        open=cards,
        recent=tuple(card(item, now) for item in recent),
        columns=_columns(sources),
        services=tuple(known),
        calm=tuple(calm),
        dark=tuple(dark),
        unheard=tuple(unheard),
        sources=views,
        is_empty=not heard and not cards and not recent and not wanted.words,
        hidden=everything - len(cards),
    )


def _is_heard(row: ServiceView) -> bool:
    """Whether anybody speaks of a service; that no user complains is no voice of its own."""
    vendor, probes, users = row.cells
    spoken = any(cell.as_of or cell.stale for cell in (vendor, probes))
    bad = row.condition in BAD or users.condition in BAD
    return spoken or bad or users.stale or bool(row.incidents)


def _is_calm(row: ServiceView) -> bool:
    """Whether only the vendor vouches for a service, and nobody measures or reports on it."""
    vendor = row.cells[0]
    return vendor.condition == "healthy" and not vendor.stale and _is_vendors(row)


def _is_dark(row: ServiceView) -> bool:
    """Whether only the vendor vouched for a service, and what it said last is stale."""
    return row.cells[0].stale and _is_vendors(row)


def _is_vendors(row: ServiceView) -> bool:
    """Whether nobody but the vendor says anything of a service, and nothing bad."""
    _, probes, users = row.cells
    return (
        probes.as_of is None
        and not probes.stale
        and not users.stale
        and all(cell.condition in {"healthy", "unknown"} for cell in row.cells)
        and not row.incidents
    )


def _urgency(item: Card) -> tuple[int, str]:
    order = ("critical", "major", "minor", "warning", "info", "unknown")
    return (order.index(item.severity) if item.severity in order else len(order), item.since.iso)


def _group(source: Document) -> str:
    kind = str(source.get("kind") or "")
    if kind in {"graph", "status_feed", "intake:graph", "advisory"}:
        return "advisory"
    return "client_report" if kind == "client_report" else "probe"


def _stale_kinds(sources: Sequence[Document]) -> frozenset[str]:
    """The kinds of which every source is unreadable: what they said last proves nothing now."""
    all_of = Counter(_group(source) for source in sources)
    lost = Counter(_group(source) for source in sources if source.get("state") in LOST)
    return frozenset(kind for kind, count in all_of.items() if lost[kind] == count)


def _columns(sources: Sequence[Document]) -> tuple[ColumnView, ...]:
    all_of = Counter(_group(source) for source in sources)
    lost = Counter(_group(source) for source in sources if source.get("state") in LOST)
    return tuple(
        ColumnView(title=title, lost=lost[kind], all=all_of[kind]) for kind, title in SIGHTINGS
    )


def _service(
    document: Document, lost: frozenset[str], cards: Sequence[Card], now: datetime
) -> ServiceView:
    cells = []
    for kind, _ in SIGHTINGS:
        told = (document.get("sources") or {}).get(kind) or {}
        condition = str(told.get("condition") or "unknown")
        stale = bool(told.get("stale")) or (kind in lost and bool(told.get("as_of")))
        if stale and condition == "healthy":
            condition = "unknown"
        cells.append(
            CellView(
                column=SHORT[kind],
                condition=condition,
                label=word(CONDITION, condition),
                as_of=when(told.get("as_of"), now),
                stale=stale,
            )
        )
    condition = str(document.get("condition") or "unknown")
    if condition == "healthy" and all(cell.condition == "unknown" for cell in cells):
        condition = "unknown"
    mine = set(document.get("incidents") or [])
    return ServiceView(
        slug=document["service"],
        name=document.get("name") or service_name(document["service"]),
        condition=condition,
        label=word(CONDITION, condition),
        cells=tuple(cells),
        incidents=tuple(item for item in cards if item.id in mine),
    )


def _verdict(
    cards: Sequence[Card], services: Sequence[ServiceView], sources: Sequence[SourceView]
) -> tuple[str, str]:
    lost = sum(source.state in STALE for source in sources)
    tail = f" {plural(lost, 'source is', 'sources are')} not readable." if lost else ""
    if cards:
        counted = plural(len(cards), "open incident")
        return (f"{counted}.{tail}" if tail else counted), "failing"
    if any(row.condition in BAD for row in services):
        return f"No open incident, but not everything is well.{tail}", "degraded"
    if lost or not any(row.condition == "healthy" for row in services):
        return f"No open incident.{tail or ' Nothing has been heard yet.'}", "unknown"
    return "No open incident. What we can see is healthy.", "healthy"


def source_view(document: Document, now: datetime) -> SourceView:
    """Show one source."""
    error = document.get("last_error") or {}
    state = str(document.get("state") or "never_read")
    kind = str(document.get("kind") or "")
    return SourceView(
        id=document["id"],
        name=document.get("name") or document["id"],
        kind=SOURCE_KIND.get(kind) or kind.replace("intake:", "Intake: "),
        state=state,
        # Reports have no beat by which they could be late.
        label="Heard" if (kind, state) == ("client_report", "fresh") else word(SOURCE_STATE, state),
        last=when(document.get("last_complete_at"), now),
        error=str(error.get("text") or "") if state != "fresh" else "",
        remedy=str(error.get("remedy") or "") if state != "fresh" else "",
        unreadable=int(document.get("unreadable") or 0),
        budget=_budget(document.get("budget")),
    )


def _budget(budget: Any) -> str:
    if isinstance(budget, dict) and "used" in budget and "requests_per_hour" in budget:
        return f"{budget['used']:,} of {budget['requests_per_hour']:,} requests this hour"
    return ""
