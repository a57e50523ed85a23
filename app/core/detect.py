"""Detection: a mixture Shiryaev-Roberts scan over minutes, with a bound on false incidents.

The statistic is ``R = (1 + R) * L`` per hypothesis; stopping at ``R >= h`` bounds the expected
time to a false claim by ``h`` minutes (see the e-detector literature). Source of the design and of
the defaults: correlation notes, sections 2 and 8.
"""

from dataclasses import dataclass, field
from math import exp, log

from app.core.policy import Policy
from app.core.views import View

HYPOTHESES: tuple[tuple[float, float, float | None], ...] = (
    *((rho, least, None) for rho, least in ((2, 0.1), (4, 0.25), (8, 0.5), (16, 1), (32, 2))),
    *((rho, least, 0.9) for rho, least in ((2, 0.1), (4, 0.25), (8, 0.5), (16, 1), (32, 2))),
    (0.0, 0.0, 0.3),
    (0.0, 0.0, 0.9),
)  # (multiple of the null rate, least rate per minute, probe failure rate); 0 or None: no say
ALONE = 5  # the first so many hypotheses rest on reports alone
SPEAKS = 1e3  # a ratio above what chance gives in the minutes kept: its start may be the onset
SURE = 1e15  # a ratio beyond which nothing more is learned
ALONE_MINUTES = 30  # so long it is asked when reports alone would have sufficed
ENOUGH = 50.0  # nats of probes beyond which nobody counts on
FAILING_RATE = 0.9  # failure rate of a location that fails
CEILING = 1e30  # keeps the statistic finite in a long outage
CLEAN_RATE = 0.3  # failure rate that a clean probe minute speaks against
NATS_CAP = 3.0  # most information that one minute of silence may give
RECENT = 4  # minutes looked at when a location's verdict is asked
RECENT_BAD = 2  # of them bad: the location fails
RESIDUE = 3  # minutes over which late comers are counted when we wait for quiet


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One stretch of trouble of one domain. Minutes are since 1970; nats add up.

    ``confirmed`` and ``reports_alone`` are the minutes of the crossing, or None. ``silence`` is the
    information gathered since the last bad minute; ``waiting`` names locations that failed and
    have not yet been seen well. ``bad_minutes`` is inclusive of onset.
    """

    domain: str
    onset: int
    suspected: int
    confirmed: int | None
    last_bad: int
    silence: float
    waiting: tuple[str, ...]
    peak: float
    report_nats: float
    probe_nats: float
    probe_peak: float
    reports_alone: int | None
    actors_at_opening: int
    expected_at_opening: float
    failing_at_opening: tuple[str, ...]
    clean_at_opening: tuple[str, ...]
    failing_now: tuple[str, ...]
    failed_ever: tuple[str, ...]
    most_failing: int
    locations: tuple[str, ...]


_Nats = tuple[tuple[float, float, float], ...]  # per hypothesis: ratio, reports, probes


@dataclass(slots=True)
class _Episode:
    onset: int
    suspected: int
    report_nats: float
    probe_nats: float
    actors: int
    expected: float
    failing: tuple[str, ...]
    clean: tuple[str, ...]
    confirmed: int | None = None
    last_bad: int = 0
    silence: float = 0.0
    peak: float = 0.0
    peak_residue: int = 0
    probe_sum: float = 0.0
    probe_peak: float = 0.0
    reports_alone: int | None = None
    failed_ever: set[str] = field(default_factory=set)
    most_failing: int = 0
    recovered: dict[str, int] = field(default_factory=dict)


class _Scan:
    """The recursion over one view; lives for one call."""

    def __init__(self, view: View, policy: Policy, *, now: int, fraction: float) -> None:
        self.view = view
        self.policy = policy
        self.now = now
        self.fraction = fraction
        size = len(HYPOTHESES)
        self.ratio = [0.0] * size
        self.start = [0] * size
        self.report_nats = [0.0] * size
        self.probe_nats = [0.0] * size
        self.alone = 0.0
        self.kept: dict[tuple[int, tuple[tuple[bool, float], ...]], _Nats] = {}
        self.heard: dict[str, int] = {}
        self.firsts: dict[int, int] = {}
        self.episode: _Episode | None = None
        self.ended: list[_Episode] = []

    def run(self) -> list[_Episode]:
        """Walk over all minutes up to now."""
        first = self.view.first_minute
        if first is None or not self._may_speak():
            return []
        for minute in range(first, self.now + 1):
            self._step(minute)
        if self.episode is not None:
            self.ended.append(self.episode)
        return self.ended

    def _may_speak(self) -> bool:
        """Whether any group could ever agree: enough actors, or a location that failed twice."""
        heard = {actor for actors in self.view.actors.values() for actor in actors}
        if len(heard) >= self.policy.quorum_actors or self.view.spans_services:
            return True
        failed = (sum(minutes.values()) for minutes in self.view.locations.values())
        return max(failed, default=0) >= RECENT_BAD

    def _first_seen(self, minute: int) -> int:
        fresh = 0
        for actor in self.view.actors.get(minute, ()):
            last = self.heard.get(actor)
            if last is None or minute - last > self.policy.actor_window_minutes:
                fresh += 1
                self.heard[actor] = minute
        self.firsts[minute] = fresh
        return fresh

    def _nats(self, fresh: int, verdicts: tuple[tuple[bool, float], ...]) -> _Nats:
        """Likelihoods of a whole minute per hypothesis; minutes repeat, so they are kept."""
        known = self.kept.get((fresh, verdicts))
        if known is None:
            known = self.kept[fresh, verdicts] = self._fresh_nats(fresh, verdicts, 1.0)
        return known

    def _fresh_nats(
        self, fresh: int, verdicts: tuple[tuple[bool, float], ...], exposure: float
    ) -> _Nats:
        """Likelihood ratio and nats of reports and of probes, for each hypothesis."""
        null = self.view.baseline * self.view.inflation * exposure
        rows = []
        for rho, least, rate in HYPOTHESES:
            reports = _report_nats(fresh, null, max(rho * null, least * exposure)) if rho else 0.0
            probes = sum(_probe_nats(bad, own, rate) for bad, own in verdicts) if rate else 0.0
            rows.append((exp(min(reports + probes, 60.0)), reports, probes))
        return tuple(rows)

    def _accumulate(self, minute: int, fresh: int) -> float:
        verdicts = tuple(
            (minutes[minute], self.view.failure_rates[location])
            for location, minutes in self.view.locations.items()
            if minute in minutes
        )
        if minute == self.now:
            rows = self._fresh_nats(fresh, verdicts, self.fraction)
        else:
            rows = self._nats(fresh, verdicts)
        ratio = self.ratio
        for index, (likelihood, reports, probes) in enumerate(rows):
            if self.report_nats[index] + self.probe_nats[index] <= 0.0:
                self.start[index] = minute  # the sum of evidence was spent: a change begins here
                self.report_nats[index] = self.probe_nats[index] = 0.0
            grown = (1.0 + ratio[index]) * likelihood
            ratio[index] = min(CEILING, grown)
            self.report_nats[index] += reports
            self.probe_nats[index] += probes
        self.alone = sum(ratio[:ALONE]) / len(HYPOTHESES)
        return sum(ratio) / len(HYPOTHESES)

    def _active(self, minute: int, back: int) -> dict[str, str]:
        active: dict[str, str] = {}
        for earlier in range(minute - back + 1, minute + 1):
            active.update(self.view.actors.get(earlier, {}))
        return active

    def failing(self, minute: int) -> tuple[str, ...]:
        """Locations that failed in two of the last four minutes in which they spoke."""
        names = []
        for location, minutes in self.view.locations.items():
            spoken = [minutes[m] for m in range(minute - RECENT + 1, minute + 1) if m in minutes]
            if sum(spoken) >= RECENT_BAD and spoken[-1]:
                names.append(location)
        return tuple(sorted(names))

    def _groups(self, minute: int, failing: tuple[str, ...]) -> int:
        active = self._active(minute, self.policy.active_window_minutes)
        by_network: dict[str, int] = {}
        for network in active.values():
            by_network[network] = by_network.get(network, 0) + 1
        groups = len(failing) + int(len(active) >= self.policy.quorum_actors)
        groups += int(self.view.spans_services)
        return groups + int(sum(1 for n in by_network.values() if n > 1) > 1)

    def _step(self, minute: int) -> None:
        fresh = self._first_seen(minute)
        if self.episode and minute - self.episode.last_bad == self.policy.quiet_minutes + 1:
            self.ratio = [0.0] * len(self.ratio)  # a relapse must show itself anew
        mean = SURE if self._is_sure(minute) else self._accumulate(minute, fresh)
        if self.episode is None and mean < self.policy.threshold / self.policy.suspect_ratio:
            return
        failing = self.failing(minute)
        if self.episode is None or self._is_over(minute):
            self._maybe_open(minute, mean, failing)
        if self.episode is not None:
            self._follow(minute, mean, failing)

    def _is_sure(self, minute: int) -> bool:
        """Whether a stretch is beyond doubt and goes on, so that its ratio need not be followed."""
        episode = self.episode
        if episode is None or episode.confirmed is None or self._is_over(minute):
            return False
        waited = minute - episode.suspected > ALONE_MINUTES
        return episode.peak >= SURE and (episode.reports_alone is not None or waited)

    def _is_over(self, minute: int) -> bool:
        episode = self.episode
        return episode is not None and minute - episode.last_bad > self.policy.quiet_minutes

    def _maybe_open(self, minute: int, mean: float, failing: tuple[str, ...]) -> None:
        suspect = self.policy.threshold / self.policy.suspect_ratio
        if mean < suspect or self._groups(minute, failing) < 1:
            return
        if self.episode is not None:
            near = minute - self.episode.last_bad <= self.policy.reopen_minutes
            if near and self.view.rejoins:
                self._relapse(minute, failing)
                return
            self.ended.append(self.episode)
        best = max(range(len(self.ratio)), key=lambda i: (self.ratio[i], -i))
        speaking = [start for start, r in zip(self.start, self.ratio, strict=True) if r >= SPEAKS]
        onset = min([self.start[best], *speaking])
        since = max(1, minute - onset + 1)
        null = self.view.baseline
        clean = tuple(
            sorted(n for n, m in self.view.locations.items() if minute in m and n not in failing)
        )
        self.episode = _Episode(
            onset=onset,
            suspected=minute,
            report_nats=self.report_nats[best],
            probe_nats=self.probe_nats[best],
            actors=sum(self.firsts.get(m, 0) for m in range(onset, minute + 1)),
            expected=null * since,
            failing=failing,
            clean=clean,
            last_bad=minute,
        )

    def _relapse(self, minute: int, failing: tuple[str, ...]) -> None:
        if self.episode is not None and self._groups(minute, failing) > 1:
            self.episode.last_bad = minute
            self.episode.silence = 0.0

    def _follow(self, minute: int, mean: float, failing: tuple[str, ...]) -> None:
        episode = self.episode
        if episode is None:
            return
        policy = self.policy
        over = self._is_over(minute)
        asked = not over and episode.confirmed is None and mean >= policy.threshold
        if asked and self._groups(minute, failing) >= policy.quorum_groups:
            episode.confirmed = minute
        if episode.reports_alone is None and self.alone >= policy.threshold / policy.suspect_ratio:
            episode.reports_alone = minute
        episode.peak = max(episode.peak, mean)
        self._weigh_probes(episode, minute)
        episode.most_failing = max(episode.most_failing, len(failing))
        episode.failed_ever.update(failing)
        if over:
            self._gather(episode, minute)
            return
        residue = len(self._active(minute, RESIDUE))
        episode.peak_residue = max(episode.peak_residue, residue)
        null = self.view.baseline * self.view.inflation * RESIDUE
        limit = max(1.0, 2.5 * null, 0.1 * episode.peak_residue)
        if failing or residue > limit:
            episode.last_bad = minute
            episode.silence = 0.0
            episode.recovered = {}
        else:
            self._gather(episode, minute)

    def _weigh_probes(self, episode: _Episode, minute: int) -> None:
        """Add up what probes say of this stretch, from where they begin to speak for it."""
        if episode.probe_peak >= ENOUGH:
            return
        nats = sum(
            _probe_nats(minutes[minute], self.view.failure_rates[location], FAILING_RATE)
            for location, minutes in self.view.locations.items()
            if minute in minutes
        )
        episode.probe_sum = max(0.0, episode.probe_sum + nats)
        episode.probe_peak = max(episode.probe_peak, episode.probe_sum)

    def _gather(self, episode: _Episode, minute: int) -> None:
        """Add the information that a quiet minute gives."""
        if minute >= self.now:
            return
        nats = 0.0
        for location, minutes in self.view.locations.items():
            if minute in minutes and not minutes[minute]:
                nats += log((1 - self.view.failure_rates[location]) / (1 - CLEAN_RATE))
                episode.recovered[location] = episode.recovered.get(location, 0) + 1
        null = self.view.baseline * self.view.inflation
        down = max(2.5 * null, 0.25 * episode.peak_residue / RESIDUE)
        nats += max(0.0, down - null)
        episode.silence += min(nats, NATS_CAP)


def _report_nats(count: int, null: float, rate: float) -> float:
    return count * log(rate / null) - (rate - null)


def _probe_nats(bad: bool, own: float, rate: float) -> float:  # noqa: FBT001 - a verdict
    rate = max(rate, own)
    return log(rate / own) if bad else log((1 - rate) / (1 - own))


def scan(view: View, policy: Policy, *, now: int, fraction: float = 1.0) -> list[Finding]:
    """Find the stretches of trouble in a view, oldest first.

    Args:
        view: the domain, minute by minute.
        policy: thresholds.
        now: the present minute; later minutes are ignored.
        fraction: how much of the present minute has passed, 0 to 1.

    Returns:
        Findings in order of time; stretches closer than the reopen window are one.
    """
    work = _Scan(view, policy, now=now, fraction=max(fraction, 0.05))
    episodes = work.run()
    failing = work.failing(now)
    return [
        Finding(
            domain=view.domain,
            onset=episode.onset,
            suspected=episode.suspected,
            confirmed=episode.confirmed,
            last_bad=episode.last_bad,
            silence=episode.silence,
            waiting=tuple(
                sorted(
                    name
                    for name in episode.failed_ever
                    if episode.recovered.get(name, 0) < policy.probe_up_after
                )
            ),
            peak=episode.peak,
            report_nats=episode.report_nats,
            probe_nats=episode.probe_nats,
            probe_peak=max(episode.probe_peak, episode.probe_nats),
            reports_alone=episode.reports_alone,
            actors_at_opening=episode.actors,
            expected_at_opening=episode.expected,
            failing_at_opening=episode.failing,
            clean_at_opening=episode.clean,
            failing_now=failing,
            failed_ever=tuple(sorted(episode.failed_ever)),
            most_failing=episode.most_failing,
            locations=tuple(sorted(view.locations)),
        )
        for episode in episodes
    ]
