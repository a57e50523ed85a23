"""Context: what an incident's state is worked out from, and what the vendor says as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.core.advisory import Phase, phase_of
from app.core.incident import LinkedAdvisory
from app.core.policy import Policy
from app.core.state import KnownAdvisory, TenantProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a state is worked out from besides the incident itself."""

    profile: TenantProfile
    policy: Policy
    now: datetime
    minute: int
    known: dict[str, KnownAdvisory]
    stale: tuple[str, ...] = ()
    hears_vendor: bool = True  # a source of advisories is configured and not stale


def vendor_phase(advisories: Sequence[LinkedAdvisory], context: Context) -> Phase:
    """What the vendor says as a whole: the least hopeful of the advisories still open."""
    speaking = [a for a in advisories if not _silent(a, context)]
    if not speaking:
        return Phase.NONE
    active = [a for a in speaking if not a.is_resolved]
    if not active:
        if all(phase_of(a.status) is Phase.WITHDRAWN for a in speaking):
            return Phase.WITHDRAWN
        return Phase.FIXED
    order = (
        Phase.CONFIRMED,
        Phase.SUSPECTED,
        Phase.UNKNOWN,
        Phase.UNCHANGED,
        Phase.MITIGATING,
        Phase.MONITORING,
        Phase.FIXED,
        Phase.NONE,
        Phase.WITHDRAWN,
    )
    phase = min((phase_of(a.status) for a in active), key=order.index)
    return Phase.MONITORING if phase is Phase.FIXED else phase


def _silent(advisory: LinkedAdvisory, context: Context) -> bool:
    known = context.known.get(advisory.id)
    gone = known.advisory.withdrawn_at if known is not None else None
    if not advisory.withdrawn or gone is None:
        return False
    return context.now - gone >= timedelta(hours=context.policy.vendor_silent_hours)


def is_vendor_open(advisories: Sequence[LinkedAdvisory], context: Context) -> bool:
    """Whether the vendor says of any of them that it goes on."""
    return any(not a.is_resolved and not _silent(a, context) for a in advisories)
