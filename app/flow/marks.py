"""Marks: what a poll remembers between two reads, as the checkpoint of its source keeps it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app.core.ports import AdvisoryRead
from app.core.signal import Advisory

ABSENT_READS = 2  # complete reads without an open advisory before it counts as withdrawn

OPEN, ALL = "open", "all"  # the lanes: open advisories often, all of them on a longer period


@dataclass(frozen=True, slots=True)
class Lane:
    """When a lane was last read completely, and how often that is meant to be."""

    at: datetime
    interval: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """The memory of a poll.

    ``absent`` counts reads without an open advisory; ``older`` keeps the digest that came under an
    older stamp than the one known; ``told`` lists unknown words that were told; ``unreadable``
    names records that could not be translated, with the reason.
    """

    lanes: Mapping[str, Lane] = field(default_factory=dict)
    absent: Mapping[str, int] = field(default_factory=dict)
    older: Mapping[str, str] = field(default_factory=dict)
    told: tuple[tuple[str, str], ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, document: Mapping[str, Any] | None) -> "Marks":
        """Read a checkpoint; none is an empty memory."""
        known = document or {}
        lanes = {
            name: Lane(
                datetime.fromisoformat(lane["at"]), timedelta(seconds=lane["interval_seconds"])
            )
            for name, lane in (known.get("lanes") or {}).items()
        }
        return cls(
            lanes=lanes,
            absent=dict(known.get("absent") or {}),
            older=dict(known.get("older") or {}),
            told=tuple((name, value) for name, value in known.get("told") or ()),
            unreadable=dict(known.get("unreadable") or {}),
        )

    def document(self) -> dict[str, Any]:
        """Write the checkpoint."""
        return {
            "lanes": {
                name: {"at": lane.at.isoformat(), "interval_seconds": lane.interval.total_seconds()}
                for name, lane in sorted(self.lanes.items())
            },
            "absent": dict(self.absent),
            "older": dict(self.older),
            "told": [list(pair) for pair in self.told],
            "unreadable": dict(self.unreadable),
        }

    def read_at(self, lane: str) -> datetime | None:
        """When a lane was last read completely, or None."""
        found = self.lanes.get(lane)
        return None if found is None else found.at

    def absences(self, open_ids: Sequence[str], served: Collection[str]) -> dict[str, int]:
        """Count for each open advisory how many complete reads in a row went without it."""
        return {key: self.absent.get(key, 0) + 1 for key in open_ids if key not in served}

    def still_unreadable(self, read: AdvisoryRead) -> dict[str, str]:
        """What cannot be read now; what a lane did not look at stays as it was."""
        kept = {} if read.full else dict(self.unreadable)
        for advisory in read.advisories:
            kept.pop(advisory.vendor_id, None)
        return kept | dict(read.unreadable_why)


def is_older(fresh: Advisory, stored: Advisory) -> bool:
    """Whether the vendor shows an older state than it showed before.

    Its front ends do not all change at the same moment; what one of them still shows is no news.
    """
    return not stored.withdrawn and fresh.last_modified_at < stored.last_modified_at
