"""Maintenance windows: planned work, in which probe results are kept and shown, and weigh nothing.

The measurement stays as it was; ``self_check: failed`` takes its weight, as for a location that is
itself unsound, and ``diagnostics.maintenance`` names the window.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from app.core.batch import RESULT_FIELDS, ResultBatch
from app.core.signal import ProbeResult
from app.core.types import SelfCheck, TenantId

MARK = "maintenance"  # the key among the diagnostics of an excused result

_PLACE = {name: number for number, name in enumerate(RESULT_FIELDS)}
_DEFAULTS = {part.name: part.default for part in fields(ProbeResult)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Planned work from ``starts_at`` up to, not including, ``ends_at``; empty sets mean all."""

    id: str
    tenant: TenantId
    title: str
    starts_at: datetime
    ends_at: datetime
    services: frozenset[str] = frozenset()
    probes: frozenset[str] = frozenset()
    locations: frozenset[str] = frozenset()
    created_by: str = ""
    created_at: datetime
    revision: int = 1

    def covers(self, *, probe: str, location: str, service: str, at: datetime) -> bool:
        """Whether a result of that check, measured at that instant, falls into the window."""
        return (
            self.starts_at <= at < self.ends_at
            and (not self.services or service in self.services)
            and (not self.probes or probe in self.probes)
            and (not self.locations or location in self.locations)
        )


def window_of(
    windows: Sequence[Window], *, probe: str, location: str, service: str, at: datetime
) -> Window | None:
    """The first window, by id, that covers a result."""
    covering = (
        w for w in windows if w.covers(probe=probe, location=location, service=service, at=at)
    )
    return min(covering, key=lambda window: window.id, default=None)


def explaining(
    windows: Sequence[Window], services: Collection[str], *, at: datetime
) -> Window | None:
    """The first window, by id, of whole services that covers all of these at an instant.

    A window of single checks or locations explains no incident: others saw it too.
    """
    covering = (
        w
        for w in windows
        if w.starts_at <= at < w.ends_at
        and not (w.probes or w.locations)
        and (not w.services or (services and w.services.issuperset(services)))
    )
    return min(covering, key=lambda window: window.id, default=None)


def excused(result: ProbeResult, windows: Sequence[Window]) -> ProbeResult:
    """The result as it counts: without weight inside a window, else as it is."""
    window = window_of(
        windows,
        probe=result.probe,
        location=result.location,
        service=result.service,
        at=result.occurred_at,
    )
    if window is None:
        return result
    told = {**(result.diagnostics or {}), MARK: window.id}
    return replace(result, self_check=SelfCheck.FAILED, diagnostics=told)


def excused_batch(batch: ResultBatch, windows: Sequence[Window]) -> ResultBatch:
    """The same for a batch of probe results; its ids stay, so that a repetition is still one."""
    return ResultBatch(batch.ids, [_excused_row(row, windows) for row in batch.rows])


def _excused_row(row: tuple[Any, ...], windows: Sequence[Window]) -> tuple[Any, ...]:
    def told(name: str) -> Any:
        place = _PLACE[name]
        return row[place] if place < len(row) else _DEFAULTS[name]

    window = window_of(
        windows,
        probe=told("probe"),
        location=told("location"),
        service=told("service"),
        at=told("occurred_at"),
    )
    if window is None:
        return row
    changed = {
        "self_check": SelfCheck.FAILED,
        "diagnostics": {**(told("diagnostics") or {}), MARK: window.id},
    }
    return tuple(changed.get(name, told(name)) for name in RESULT_FIELDS)
