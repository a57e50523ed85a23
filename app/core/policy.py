"""Policy: every threshold and window of the engine as data, with a digest."""

import hashlib
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Thresholds and windows; the name carries the unit, the comment the meaning and source."""

    null_inflation: float = 1.5  # the null rate is this times the baseline (correlation.md 2.3)
    false_incidents_per_week: float = 0.05  # wanted bound per tenant
    cells_in_bound: int = 126  # cells that share the bound (correlation.md 8.1)
    suspect_ratio: float = 500.0  # suspected at threshold / this
    probe_failure_floor: float = 0.005  # a vantage's own failure rate is never taken lower
    actor_window_minutes: int = 30  # an actor counts once in this time when we open
    active_window_minutes: int = 10  # an actor is active for this time when we close
    quorum_groups: int = 2  # independent groups needed to confirm
    quorum_actors: int = 3  # distinct actors that make one group
    probe_down_after: int = 3  # consecutive failed minutes of one check and location
    probe_up_after: int = 2  # consecutive clean minutes
    quiet_minutes: int = 10  # evidence must be quiet so long before resolve
    quiet_minutes_vendor_open: int = 20  # the same while the vendor still says open
    low_evidence_minutes: int = 240  # without enough expected evidence, wait so long
    power_nats: float = 7.0  # information needed in the silence
    close_ratio: float = 1000.0  # likelihood ratio needed to believe that it is over
    reopen_minutes: int = 120  # a relapse in this time reopens
    update_seconds: int = 120  # figures alone are told at most so often
    close_hours: int = 72  # a resolved incident is closed after
    common_cause_minutes: int = 15  # onsets so close are one fault over several services
    attach_threshold: float = 0.25  # score needed to attach an advisory
    lateness_minutes: int = 120  # older signals are evidence only
    future_minutes: int = 5  # further ahead of us is taken as now
    dedup_hours: int = 24  # a repeated id counts as duplicate so long
    vendor_silent_hours: int = 24  # a withdrawn advisory counts as silence after
    first_days_inflation: float = 2.0  # null inflation in the first fourteen days
    local_share: float = 0.8  # share of actors on one network that makes a local fault
    identity_share: float = 0.85  # share of sign-in symptoms that makes an identity fault
    reports_per_user_hour: float = 0.0015  # prior of background reports (correlation.md 6.1)
    default_users: int = 500  # tenant size when it is not stated

    @property
    def threshold(self) -> float:
        """Evidence ratio at which an incident is confirmed (bound on false alarms)."""
        return 10080.0 * self.cells_in_bound / self.false_incidents_per_week

    @property
    def digest(self) -> str:
        """Short stable digest of all values."""
        text = repr(sorted(asdict(self).items()))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


DEFAULT_POLICY = Policy()
