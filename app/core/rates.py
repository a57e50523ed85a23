"""Rates: how many reports and failures are usual, learned from calm sealed minutes.

The expectation of an hour is published before the hour begins and never changes, so that what the
scan makes of a minute is a function of the signals alone. Source: correlation notes, 8.3.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from math import exp, log
from zoneinfo import ZoneInfo

from app.core.policy import Policy
from app.core.state import Bin, Learned, Rates, Spread, TenantProfile

SERVICES_SHARING_PRIOR = 4  # reports of an average tenant spread over about so many services
FLOOR_PER_MINUTE = 1 / 720  # one actor per twelve hours and domain (correlation notes, 2.6)
HOUR = 60  # minutes
WEEK = 168  # hours
WEEKDAYS = 5
SUNDAY = 6
PRIOR_MINUTES = 720.0  # the prior of a service weighs so much calm time
BIN_PRIOR_MINUTES = 480.0  # the mean of the service weighs so much in each hour of the week
BIN_MEMORY = 0.5 ** (1 / 6)  # a bin of last week, six weeks a half life
SHARE_MEMORY = 0.5 ** (1 / (14 * 24 * 60))  # per minute: half in two weeks
LEVEL_MEMORY = exp(-1 / 360)  # per minute: six hours
LEVEL_LIMITS = (0.5, 3.0)
LEVEL_PRIOR = 8.0  # actors that the tenant's usual level counts for
SPREAD_MEMORY = exp(-1 / (14 * 1440))
SIZE_LIMITS = (0.5, 1e6)
SIZE_PRIOR = 60.0  # expected actors before the counts' own dispersion is believed
TEMPER_LIMITS = (0.2, 1.0)
FAILURE_MEMORY = 1440.0  # minutes of a vantage's own failure rate
FAILURE_PRIOR = 60.0
LEARNED_MINUTES = 14 * 1440  # calm time after which the profile is believed
WINSOR = 4.0  # standard deviations beyond which an hour teaches no more
SHARE_PRIOR = 4.0  # actors that an even share counts for
# A working day in an office, as multiples of the mean hour: quiet nights, two humps, an evening.
_WORKDAY = (
    0.25, 0.25, 0.25, 0.25, 0.25, 0.3, 0.5, 1.0, 2.0, 2.6, 2.6, 2.2, 1.6, 2.1, 2.5, 2.4, 2.0,
    1.4, 0.9, 0.6, 0.5, 0.4, 0.3, 0.25,
)  # fmt: skip
_RESTDAY = 0.4


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=4096)
def hour_of_week(hour: int, zone: str, holidays: frozenset[str]) -> int:
    """The hour of the week (0 is Monday midnight) of an hour since 1970, in the tenant's time.

    A holiday counts as a Sunday.
    """
    local = datetime.fromtimestamp(hour * 3600, UTC).astimezone(_zone(zone))
    day = SUNDAY if local.date().isoformat() in holidays else local.weekday()
    return day * 24 + local.hour


def shape(hour: int) -> float:
    """How busy an hour of the week is where nothing is known, as a multiple of the mean."""
    day, clock = divmod(hour, 24)
    return _WORKDAY[clock] * (1.0 if day < WEEKDAYS else _RESTDAY)


def prior_rate(profile: TenantProfile, policy: Policy) -> float:
    """First-seen actors per minute and service expected of a tenant of that size."""
    users = profile.users or policy.default_users
    per_minute = users * policy.reports_per_user_hour / 60 / SERVICES_SHARING_PRIOR
    return max(per_minute, FLOOR_PER_MINUTE)


@dataclass(frozen=True, slots=True)
class Rate:
    """What is expected of one domain in one hour.

    ``mean``: first-seen actors per minute. ``null``: the same, inflated, against which is tested.
    ``tables`` keeps likelihoods that were worked out. ``of`` is what it was made from.
    """

    mean: float
    null: float
    size: float
    temper: float
    of: Rates | None
    tables: dict[tuple[int, float], tuple[float, ...]] = field(default_factory=dict)


def rate_of(
    rates: Rates | None,
    services: Iterable[str] | None,
    network: str | None,
    *,
    hour: int,
    profile: TenantProfile,
    policy: Policy,
) -> Rate:
    """What is expected of services, over all networks or one.

    Args:
        rates: as published for the hour, or None where the tenant was not known yet.
        services: slugs; None for all that are known, which does not depend on who spoke since.
        network: its share alone, or None for all.
        hour: since 1970.
        profile: the tenant.
        policy: thresholds.
    """
    usual = prior_rate(profile, policy) * shape(
        hour_of_week(hour, profile.timezone, profile.holidays)
    )
    known = rates if rates is not None else Rates()
    mean, size, temper = 0.0, SIZE_LIMITS[1], 1.0
    if services is None:
        services = known.expected or [f"any-{n}" for n in range(SERVICES_SHARING_PRIOR)]
    for service in services:
        part = known.expected.get(service, usual)
        if network is not None:
            part *= known.shares.get(f"{service}|{network}", 0.5)
        mean += part
        size = min(size, known.size.get(service, SIZE_LIMITS[1]))
        temper = min(temper, known.temper.get(service, 1.0))
    mean = max(mean, FLOOR_PER_MINUTE)
    inflation = known.inflation or policy.first_days_inflation
    return Rate(mean=mean, null=mean * inflation, size=size, temper=temper, of=rates)


def report_nats(count: int, null: float, other: float, size: float) -> float:
    """Log likelihood ratio of a count: mean ``other`` against mean ``null`` (negative binomial)."""
    if size >= SIZE_LIMITS[1]:
        return count * log(other / null) - (other - null)
    a, b = size + null, size + other
    return count * (log(other / b) - log(null / a)) + size * (log(a) - log(b))


def _bin_rate(
    bins: Mapping[int, Bin], slot: int, service_rate: float
) -> float:  # actors per minute
    usual = service_rate * shape(slot)
    known = bins.get(slot)
    if known is None:
        return usual
    return (known.count + usual * BIN_PRIOR_MINUTES) / (known.minutes + BIN_PRIOR_MINUTES)


def _service_rate(bins: Mapping[int, Bin], prior: float) -> float:
    """Mean rate of a service over the week, from all its bins."""
    counted = sum(b.count for b in bins.values())
    exposed = sum(b.minutes * shape(slot) for slot, b in bins.items())
    return (counted + prior * PRIOR_MINUTES) / (exposed + PRIOR_MINUTES)


def _level(learned: Learned, service: str) -> float:
    """How busy the tenant is now against its usual, by all other services."""
    others = [pair for name, pair in learned.recent.items() if name != service]
    seen = sum(pair[0] for pair in others)
    expected = sum(pair[1] for pair in others)
    low, high = LEVEL_LIMITS
    return min(high, max(low, (seen + LEVEL_PRIOR) / (expected + LEVEL_PRIOR)))


def publish(
    learned: Learned, hour: int, services: Iterable[str], profile: TenantProfile, policy: Policy
) -> Rates:
    """Say what is expected in an hour, from everything that was learned."""
    slot = hour_of_week(hour, profile.timezone, profile.holidays)
    prior = prior_rate(profile, policy)
    experienced = learned.minutes >= LEARNED_MINUTES
    expected, size, temper = {}, {}, {}
    for service in services:
        bins = learned.bins.get(service, {})
        rate = _bin_rate(bins, slot, _service_rate(bins, prior)) * _level(learned, service)
        expected[service] = max(rate, FLOOR_PER_MINUTE)
        spread = learned.spreads.get(service, Spread())
        size[service] = _size_of(spread)
        temper[service] = _temper_of(spread)
    return Rates(
        expected=expected,
        size=size,
        temper=temper,
        shares=_shares(learned),
        failures={key: round(rate, 5) for key, (rate, _) in learned.failures.items() if rate > 0},
        inflation=policy.null_inflation if experienced else policy.first_days_inflation,
    )


def _size_of(spread: Spread) -> float:
    """Negative binomial size by moments: variance = mean + mean² / size."""
    excess = spread.square - spread.mean
    if spread.mean < SIZE_PRIOR or excess <= 0 or spread.mean_square <= 0:
        return SIZE_LIMITS[1]
    low, high = SIZE_LIMITS
    return min(high, max(low, spread.mean_square / excess))


def _temper_of(spread: Spread) -> float:
    """How much less a quarter hour says than fifteen single minutes would."""
    if spread.mean < SIZE_PRIOR or spread.wide <= 0:
        return 1.0
    low, high = TEMPER_LIMITS
    return min(high, max(low, spread.square / spread.wide))


def _shares(learned: Learned) -> dict[str, float]:
    totals: dict[str, float] = {}
    networks: dict[str, int] = {}
    for key, count in learned.shares.items():
        service = key.split("|", 1)[0]
        totals[service] = totals.get(service, 0.0) + count
        networks[service] = networks.get(service, 0) + 1
    found = {}
    for key, count in learned.shares.items():
        service = key.split("|", 1)[0]
        even = 1 / (networks[service] + 1)
        found[key] = (count + SHARE_PRIOR * even) / (totals[service] + SHARE_PRIOR)
    return found


@dataclass(slots=True)
class Pupil:
    """Learns from one sealed minute after the other; lives for one call of the fold."""

    learned: Learned
    profile: TenantProfile
    policy: Policy

    def hear(
        self,
        minute: int,
        service: str,
        *,
        seen: int,
        networks: Mapping[str, int],
        rate: Rate,
        calm: bool,
    ) -> None:
        """Take in one minute of one service.

        Args:
            minute: since 1970.
            service: slug.
            seen: first-seen actors.
            networks: network → actors among them.
            rate: what was expected.
            calm: no incident covers the service.
        """
        now = self.learned
        observed, expected = now.recent.get(service, (0.0, 0.0))
        if calm:
            slot = hour_of_week(minute // HOUR, self.profile.timezone, self.profile.holidays)
            limit = rate.mean + WINSOR * (rate.mean + 1.0) ** 0.5
            self._into_bin(minute, service, slot, min(float(seen), limit))
            self._into_spread(minute, service, min(float(seen), limit), rate.mean)
            observed += seen
            expected += rate.mean
        now.recent[service] = (observed * LEVEL_MEMORY, expected * LEVEL_MEMORY)
        if calm:
            for network, count in networks.items():
                key = f"{service}|{network}"
                now.shares[key] = now.shares.get(key, 0.0) + count

    def _into_bin(self, minute: int, service: str, slot: int, seen: float) -> None:
        bins = self.learned.bins.setdefault(service, {})
        known = bins.get(slot, Bin())
        keep = BIN_MEMORY if minute % HOUR == 0 else 1.0
        bins[slot] = Bin(count=known.count * keep + seen, minutes=known.minutes * keep + 1)

    def _into_spread(self, minute: int, service: str, seen: float, mean: float) -> None:
        known = self.learned.spreads.get(service, Spread())
        residue = seen - mean
        quarter = known.quarter + residue
        wide = known.wide
        if minute % 15 == 14:  # noqa: PLR2004 - the last minute of a quarter of an hour
            wide += quarter * quarter
            quarter = 0.0
        self.learned.spreads[service] = Spread(
            square=known.square * SPREAD_MEMORY + residue * residue,
            mean=known.mean * SPREAD_MEMORY + mean,
            mean_square=known.mean_square * SPREAD_MEMORY + mean * mean,
            wide=wide * SPREAD_MEMORY,
            quarter=quarter,
        )

    def watch(self, key: str, *, bad: bool) -> None:
        """Take in one calm minute of one vantage."""
        rate, weight = self.learned.failures.get(key, (0.0, 0.0))
        weight = min(weight + 1, FAILURE_MEMORY)
        rate += (float(bad) - rate) / max(weight, FAILURE_PRIOR)
        self.learned.failures[key] = (rate, weight)

    def forget(self) -> None:
        """Let one minute pass for what fades."""
        shares = {k: n * SHARE_MEMORY for k, n in self.learned.shares.items()}
        self.learned = replace(
            self.learned,
            shares={k: n for k, n in shares.items() if n > 0.01},  # noqa: PLR2004 - as good as none
            minutes=self.learned.minutes + 1,
        )


def pupil_of(learned: Learned, profile: TenantProfile, policy: Policy) -> Pupil:
    """A pupil that may change its own copy of what was learned."""
    own = replace(
        learned,
        bins={service: dict(bins) for service, bins in learned.bins.items()},
        spreads=dict(learned.spreads),
        shares=dict(learned.shares),
        failures=dict(learned.failures),
        recent=dict(learned.recent),
    )
    return Pupil(own, profile, policy)


__all__ = ["Pupil", "Rate", "publish", "pupil_of", "rate_of", "report_nats"]
