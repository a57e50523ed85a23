"""Looks: which tenants the fold must look at now; those with nothing to say cost nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from app.core.incident import Incident
from app.core.pace import CALM, LIVELY, look_after
from app.core.types import TenantId


@dataclass(frozen=True, slots=True)
class _Look:
    """After which revision, until when short looks go on, and when the next one is due."""

    revision: int
    lively_until: datetime
    due_at: datetime


class Looks:
    """Remembers when each tenant is to be looked at again if nothing comes in for it."""

    def __init__(self) -> None:
        self._known: dict[TenantId, _Look] = {}

    def note(
        self,
        tenant: TenantId,
        revision: int,
        incidents: Iterable[Incident],
        *,
        now: datetime,
        bad: bool,
    ) -> bool:
        """Plan the next look after a step; True when it may be long until then.

        Args:
            tenant: whose step it was.
            revision: the one that is stored after it.
            incidents: those that live.
            now: the instant of the step.
            bad: whether something came in with it that is weighed on.
        """
        known = self._known.get(tenant)
        until = now + LIVELY if bad else (known.lively_until if known is not None else now)
        wait = look_after(incidents, lively=now < until)
        self._known[tenant] = _Look(revision, until, now + wait)
        return wait >= CALM

    def is_due(
        self, tenant: TenantId, stood: Mapping[TenantId, tuple[int, bool]], now: datetime
    ) -> bool:
        """Whether something waits, another replica folded, or time alone may tell.

        Args:
            tenant: the one that is asked about.
            stood: revision, and whether anything waits, by tenant.
            now: the present instant.
        """
        revision, waits = stood.get(tenant, (0, True))
        known = self._known.get(tenant)
        return waits or known is None or known.revision != revision or now >= known.due_at
