"""What the status page shows, made of the console's board and of released incidents; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.core.ids import derived
from app.core.incident import Incident
from app.core.maintenance import Window
from app.store.events import Moment
from app.web.boardview import SHORT, Board, CellView, ServiceView
from app.web.status.told import PublicIncident, Said, Work, concerns_all, released, work_of
from app.web.status.words import Words
from app.web.times import instant
from app.web.words import service_name

# When the catalogue of services was first published: a component needs a date of birth.
BORN = datetime(2026, 1, 1, tzinfo=UTC)
INDICATORS = ("none", "maintenance", "minor", "major", "critical")
BY_STATE = {
    "operational": "none",
    "under_maintenance": "maintenance",
    "degraded_performance": "minor",
    "unknown": "minor",
    "partial_outage": "major",
    "major_outage": "critical",
}
STATE_ORDER = tuple(BY_STATE)  # from well to worst


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One service. ``state`` is a word of Statuspage, or ``unknown``, which it has not."""

    id: str
    slug: str
    name: str
    state: str
    label: str
    heard_at: datetime | None
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusView:
    """Everything that a status page shows in one language; ``incidents`` has the newest first."""

    words: Words
    page_id: str
    tenant: str
    name: str
    components: tuple[Component, ...]
    incidents: tuple[PublicIncident, ...]
    works: tuple[Work, ...]
    merged: Mapping[str, str]
    indicator: str
    description: str
    verdict: str
    tone: str
    updated_at: datetime
    as_of: datetime

    @property
    def open(self) -> tuple[PublicIncident, ...]:
        """The incidents that go on."""
        return tuple(one for one in self.incidents if one.is_open)

    @property
    def past(self) -> tuple[PublicIncident, ...]:
        """The incidents that are over."""
        return tuple(one for one in self.incidents if not one.is_open)


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a status page is made of.

    ``notes`` are what persons wrote in public by the incident's id, oldest first. ``moments`` are
    the events of the lifecycle, oldest first.
    """

    board: Board
    incidents: Sequence[Incident]
    moments: Sequence[Moment]
    notes: Mapping[str, Sequence[Said]]
    windows: Sequence[Window]
    merged: Mapping[str, str] = field(default_factory=dict)


def view_of(
    material: Material,
    *,
    tenant: str,
    name: str,
    release: str,
    services: Sequence[str],
    words: Words,
    now: datetime,
) -> StatusView:
    """Make the view.

    Args:
        material: what it is made of.
        tenant: the tenant's id.
        name: the name on the page.
        release: ``confirmed`` tells of every confirmed incident, ``noted`` of those alone of which
            a person has spoken in public.
        services: the services to show; empty for those of which somebody has spoken.
        words: the language of the page.
        now: the present instant.
    """
    incidents = [
        shown
        for one in material.incidents
        if (
            shown := released(
                one,
                notes=material.notes.get(one.id, ()),
                moments=material.moments,
                release=release,
                words=words,
            )
        )
    ]
    incidents.sort(key=lambda one: (one.started_at, one.number), reverse=True)
    works = [work_of(window, now, words) for window in material.windows if concerns_all(window)]
    components = _components(material.board, incidents, works, services, words)
    told_at = [one.updated_at for one in incidents] + [
        at for work in works for at in (work.created_at, work.starts_at, work.ends_at) if at <= now
    ]
    indicator = max(
        [BY_STATE[one.state] for one in components]
        + [one.impact for one in incidents if one.is_open],
        key=INDICATORS.index,
        default="minor",
    )
    dark = not components or any(one.state == "unknown" for one in components)
    description = "unknown" if dark and indicator == "minor" else indicator
    verdict, tone = _verdict(components, incidents)
    return StatusView(
        words=words,
        page_id=derived("status page", tenant, size=6),
        tenant=tenant,
        name=name,
        components=tuple(components),
        incidents=tuple(incidents),
        works=tuple(sorted(works, key=lambda work: (work.starts_at, work.id))),
        merged=dict(material.merged),
        indicator=indicator,
        description=words.say(description, "indicators"),
        verdict=words.say(verdict, "verdicts"),
        tone=tone,
        updated_at=max(told_at, default=BORN),
        as_of=now,
    )


def _verdict(
    components: Sequence[Component], incidents: Sequence[PublicIncident]
) -> tuple[str, str]:
    """The word of the headline and its tone; what is unknown is never well."""
    ongoing = [one for one in incidents if one.is_open]
    states = {one.state for one in components}
    if any(one.impact in {"major", "critical"} for one in ongoing) or states & {
        "partial_outage",
        "major_outage",
    }:
        return "failing", "failing"
    if ongoing or "degraded_performance" in states:
        return "degraded", "degraded"
    if not components:
        return "silent", "unknown"
    if "unknown" in states:
        return "unknown", "unknown"
    if "under_maintenance" in states:
        return "work", "work"
    return "healthy", "healthy"


def _components(
    board: Board,
    incidents: Sequence[PublicIncident],
    works: Sequence[Work],
    services: Sequence[str],
    words: Words,
) -> list[Component]:
    rows = {row.slug: row for row in (*board.services, *board.calm, *board.dark, *board.unheard)}
    wanted = services or [slug for slug, row in rows.items() if _is_spoken_of(row)]
    found = [_component(slug, rows.get(slug), incidents, works, words) for slug in wanted]
    if services:
        return found
    order = list(reversed(STATE_ORDER))
    return sorted(found, key=lambda one: (order.index(one.state), one.name.casefold()))


def _is_spoken_of(row: ServiceView) -> bool:
    """Whether anybody says how a service is, or said so and cannot be read now."""
    return row.condition != "unknown" or any(
        cell.as_of is not None or cell.stale for cell in _witnesses(row)
    )


def _witnesses(row: ServiceView) -> list[CellView]:
    """The cells that can tell of health: that nobody reports anything is no proof of it."""
    return [cell for cell in row.cells if cell.column != SHORT["client_report"]]


def _component(
    slug: str,
    row: ServiceView | None,
    incidents: Sequence[PublicIncident],
    works: Sequence[Work],
    words: Words,
) -> Component:
    mine = [one for one in incidents if slug in one.services]
    at_work = any(
        work.status == "in_progress" and (not work.services or slug in work.services)
        for work in works
    )
    state = "unknown" if row is None else _state(row, at_work=at_work)
    cells = _witnesses(row) if row else []
    heard = [at for cell in cells if (at := _as_of(cell.as_of)) is not None]
    return Component(
        id=derived("component", slug, size=6),
        slug=slug,
        name=row.name if row else service_name(slug),
        state=state,
        label=words.say(state, "states"),
        heard_at=max(heard, default=None),
        updated_at=max((one.updated_at for one in mine), default=BORN),
    )


def _as_of(shown: object) -> datetime | None:
    return instant(getattr(shown, "iso", None))


def _state(row: ServiceView, *, at_work: bool) -> str:
    match row.condition:
        case "failing":
            worst = any(card.severity == "critical" for card in row.incidents)
            return "major_outage" if worst else "partial_outage"
        case "degraded":
            return "degraded_performance"
        case "healthy" | "unknown" if at_work:
            return "under_maintenance"
        case "healthy":
            return "operational"
        case _:
            return "unknown"
