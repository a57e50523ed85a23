"""The terms of a poll: where it hands on what it read, who tells, and how often it reads."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from sqlalchemy import Connection

from app.core.events import EventType
from app.core.signal import Advisory
from app.core.types import TenantId


class Append(Protocol):
    """Where changed revisions go: ``Intake.append_advisories``."""

    async def __call__(
        self,
        tenant: TenantId,
        advisories: Sequence[Advisory],
        raw: Mapping[str, bytes] | None = None,
        *,
        source: str,
        now: datetime,
    ) -> object:
        """Return after the commit."""
        ...


class Announce(Protocol):
    """Tells a fact that is about no incident: ``Fold.news``."""

    async def __call__(
        self,
        tenant: TenantId,
        kind: EventType,
        facts: dict[str, Any],
        *,
        actor: str,
        reason: str,
        also: Callable[[Connection], Any],
    ) -> None:
        """Return after the commit, which holds what ``also`` writes, so that it is told once."""
        ...


@runtime_checkable
class Budgeted(Protocol):
    """A source that keeps within a share of requests."""

    def budget(self, now: datetime) -> dict[str, int] | None:
        """Say how much of the share is used; None before anything was."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """How often to read: while something moves, while nothing does, and everything.

    ``jitter`` is the share by which each wait is longer or shorter; ``spread`` is the time over
    which the first reads of many tenants are spread.
    """

    hot: timedelta = timedelta(seconds=60)
    calm: timedelta = timedelta(seconds=300)
    reconcile: timedelta = timedelta(seconds=900)
    jitter: float = 0.05
    spread: timedelta = timedelta()
