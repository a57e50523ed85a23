"""Detection: a mixture Shiryaev-Roberts scan over minutes, with a bound on false incidents.

The statistic is ``R = (1 + R) * L`` per hypothesis; stopping at ``R >= h`` bounds the expected
time to a false claim by ``h`` minutes (see the e-detector literature). The end is found by the same
recursion the other way round. Source of the design and of the defaults: correlation notes,
sections 2, 3 and 8.
"""

from dataclasses import dataclass
from math import exp, log

from app.core.episode import REPORTERS_CAP, Episode, ScanPoint
from app.core.lines import Domain, Verdict
from app.core.policy import Policy
from app.core.rates import Rate, report_nats
from app.core.voices import distinct

MULTIPLES: tuple[tuple[float, float], ...] = ((2, 0.1), (4, 0.25), (8, 0.5), (16, 1), (32, 2))
# Hypotheses in order: the reports alone; the reports with failing probes; probes a little, much.
ALONE = len(MULTIPLES)
SIZE = 2 * ALONE + 2
LITTLE, MUCH = 0.3, 0.9  # failure rates of locations that fail a little, or much
SPEAKS = 1e3  # a ratio above what chance gives in a few hours: its start may be the onset
CEILING = 1e30  # keeps the statistic finite in a long outage
ENOUGH = 50.0  # nats of probes beyond which nobody counts on
ONSET_MINUTES = 60  # an onset is looked for so far back; epochs are kept as long
LENGTH_NATS = 2.0  # an earlier onset must explain so much more
IDLE_MINUTES = 60  # without a bad word for so long the scan starts anew
RESIDUE = 5  # minutes over which reporters are counted when we wait for quiet
PEAK_MEMORY = 0.99  # per minute
LEAST_DOWN = 0.05  # actors per minute that an outage shows at least
DOWN_MULTIPLE = 2.5  # an outage shows at least so many times the null rate
DOWN_SHARE = 0.25  # and at least this share of its own peak
TURN_LIMITS = (exp(-8.0), exp(3.0))  # what one minute may say for or against the end
TURNING = 2.0  # ratio of the end below which a minute still counts as bad
STILL = (0.0,) * SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One stretch of trouble of one domain. Minutes are since 1970; nats add up.

    ``confirmed`` and ``reports_alone`` are the minutes of the crossing, or None. ``silence`` is the
    information gathered since the last bad minute, ``turned`` the ratio of the evidence that it is
    over; ``waiting`` names locations that failed and have not yet been seen well. ``bad_minutes``
    is inclusive of onset. ``goes_on`` says whether it is the domain's newest stretch.
    """

    domain: str
    services: tuple[str, ...]
    network: str | None
    wide: bool
    part: str | None
    onset: int
    suspected: int
    confirmed: int | None
    last_bad: int
    silence: float
    turned: float
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
    marks: tuple[int, ...]
    gap: int = 0


def _likelihoods(rate: Rate, count: int, exposure: float) -> tuple[float, ...]:
    """Likelihood ratios of a count for each multiple; they repeat, so they are kept."""
    known = rate.tables.get((count, exposure))
    if known is None:
        null = rate.null * exposure
        known = tuple(
            exp(
                min(
                    60.0,
                    rate.temper
                    * report_nats(count, null, max(rho * null, least * exposure), rate.size),
                )
            )
            for rho, least in MULTIPLES
        )
        rate.tables[count, exposure] = known
    return known


def _probe_ratio(verdicts: tuple[Verdict, ...], rate: float) -> float:
    ratio = 1.0
    for _, bad, own in verdicts:
        assumed = max(rate, own)
        ratio *= assumed / own if bad else (1 - assumed) / (1 - own)
    return ratio


class Scan:
    """Carries a scan point on over the minutes of one domain."""

    def __init__(self, domain: Domain, policy: Policy, point: ScanPoint) -> None:
        self.domain = domain
        self.policy = policy
        self.point = point
        self.suspect = policy.threshold / policy.suspect_ratio

    def step(self, minute: int, *, exposure: float = 1.0) -> None:
        """Take in one minute; ``exposure`` is how much of it has passed (0 to 1)."""
        point, domain = self.point, self.domain
        fresh, active = domain.counts(minute)
        verdicts = domain.verdicts(minute)
        bad = any(verdict.bad for verdict in verdicts)
        point.minute = minute
        point.idle = 0 if fresh or bad else point.idle + 1
        episode = point.episodes[-1] if point.episodes else None
        lively = episode is not None and minute - episode.last_bad <= self.policy.reopen_minutes
        if point.idle >= IDLE_MINUTES and not lively:
            point.ratios = list(STILL)
            return
        self._accumulate(minute, fresh, verdicts, exposure)
        mean = sum(point.ratios) / SIZE
        if episode is not None and minute - episode.last_bad == self.policy.quiet_minutes + 1:
            point.ratios = list(STILL)  # a relapse must show itself anew
            mean = 0.0
        if mean < self.suspect and not lively:
            return
        failing = domain.failing(minute)
        if mean >= self.suspect and (episode is None or self._is_over(episode, minute)):
            self._open(minute, failing, episode)
        if point.episodes:
            self._follow(point.episodes[-1], minute, mean, failing)
            self._see_end(point.episodes[-1], failing, active, exposure)

    def _accumulate(
        self, minute: int, fresh: int, verdicts: tuple[Verdict, ...], exposure: float
    ) -> None:
        reports = _likelihoods(self.domain.lines.rate(self.domain, minute), fresh, exposure)
        old = self.point.ratios
        if verdicts:
            little, much = _probe_ratio(verdicts, LITTLE), _probe_ratio(verdicts, MUCH)
        else:
            little = much = 1.0
        factors = (*reports, *[ratio * much for ratio in reports], little, much)
        self.point.ratios = [
            min(CEILING, (1.0 + ratio) * factor) for ratio, factor in zip(old, factors, strict=True)
        ]

    def _is_over(self, episode: Episode, minute: int) -> bool:
        return minute - episode.last_bad > self.policy.quiet_minutes

    def _open(self, minute: int, failing: tuple[str, ...], episode: Episode | None) -> None:
        groups = self.domain.groups(minute, failing)
        if groups < 1:
            return
        if episode is not None:
            near = minute - episode.last_bad <= self.policy.reopen_minutes
            if near and self.domain.rejoins:
                if groups > 1:
                    _go_on(episode, minute)
                return
        self.point.episodes.append(self._opened(minute, failing))

    def _opened(self, minute: int, failing: tuple[str, ...]) -> Episode:
        """Look back for the minute from which the evidence speaks for a change."""
        domain, ratios = self.domain, self.point.ratios
        enough = min(SPEAKS, max(ratios))
        speaking = [i for i, ratio in enumerate(ratios) if ratio >= enough]
        sums = [[0.0, 0.0] for _ in range(SIZE)]  # reports, probes
        peaks: list[tuple[float, int, float, float]] = [(-LENGTH_NATS, minute, 0.0, 0.0)] * SIZE
        floor = self.point.episodes[-1].last_bad if self.point.episodes else 0
        for earlier in range(minute, max(minute - ONSET_MINUTES, floor), -1):
            self._add_back(earlier, sums)
            for i in speaking:
                total = sums[i][0] + sums[i][1]
                if total > peaks[i][0] + LENGTH_NATS:
                    peaks[i] = (total, earlier, sums[i][0], sums[i][1])
        best = max(speaking, key=lambda i: (peaks[i][0], -i))
        onset = peaks[best][1]
        span = range(onset, minute + 1)
        clean = {v.location for v in domain.verdicts(minute)} - set(failing)
        return Episode(
            onset=onset,
            suspected=minute,
            report_nats=peaks[best][2],
            probe_nats=peaks[best][3],
            actors=sum(domain.counts(m)[0] for m in span),
            expected=sum(domain.lines.rate(domain, m).mean for m in span),
            failing=failing,
            clean=tuple(sorted(clean)),
            last_bad=minute,
        )

    def _add_back(self, minute: int, sums: list[list[float]]) -> None:
        domain = self.domain
        fresh, _ = domain.counts(minute)
        reports = [log(r) for r in _likelihoods(domain.lines.rate(domain, minute), fresh, 1.0)]
        verdicts = domain.verdicts(minute)
        much = log(_probe_ratio(verdicts, MUCH))
        for i, nats in enumerate(reports):
            sums[i][0] += nats
            sums[ALONE + i][0] += nats
            sums[ALONE + i][1] += much
        sums[SIZE - 2][1] += log(_probe_ratio(verdicts, LITTLE))
        sums[SIZE - 1][1] += much

    def _follow(self, episode: Episode, minute: int, mean: float, failing: tuple[str, ...]) -> None:
        """Take into a stretch what a minute says for it."""
        policy = self.policy
        over = self._is_over(episode, minute)
        asked = not over and episode.confirmed is None and mean >= policy.threshold
        if asked and self.domain.groups(minute, failing) >= policy.quorum_groups:
            episode.confirmed = minute
        alone = sum(self.point.ratios[:ALONE]) / SIZE
        if episode.reports_alone is None and alone >= self.suspect:
            episode.reports_alone = minute
        episode.peak = max(episode.peak, mean)
        verdicts = self.domain.verdicts(minute)
        if episode.probe_peak < ENOUGH and verdicts:
            nats = log(_probe_ratio(verdicts, MUCH))
            episode.probe_sum = max(0.0, episode.probe_sum + nats)
            episode.probe_peak = max(episode.probe_peak, episode.probe_sum)
        episode.most_failing = max(episode.most_failing, len(failing))
        if not set(failing) <= set(episode.failed_ever):
            episode.failed_ever = tuple(sorted({*episode.failed_ever, *failing}))

    def _see_end(
        self, episode: Episode, failing: tuple[str, ...], active: int, exposure: float
    ) -> None:
        """Ask whether a stretch goes on, or gather what speaks for its end."""
        minute = self.point.minute
        over = self._is_over(episode, minute)
        verdicts = self.domain.verdicts(minute)
        self._turn(episode, active, verdicts, exposure)
        if not over and (failing or episode.turned < TURNING):
            _go_on(episode, minute)
        elif exposure >= 1.0:
            self._gather(episode, minute, verdicts)

    def _down(self, episode: Episode, rate: Rate) -> float:
        """Active reporters per minute that the outage would still show."""
        share = DOWN_SHARE * episode.crest / RESIDUE
        return max(DOWN_MULTIPLE * rate.null, share, LEAST_DOWN)

    def _turn(
        self,
        episode: Episode,
        active: int,
        verdicts: tuple[Verdict, ...],
        exposure: float,
    ) -> None:
        """Follow the ratio of the evidence that it is over."""
        episode.recent = (*episode.recent, active)[-RESIDUE:]
        episode.crest = max(episode.crest * PEAK_MEMORY, float(sum(episode.recent)))
        rate = self.domain.lines.rate(self.domain, self.point.minute)
        down = self._down(episode, rate)
        nats = exposure * (down - rate.null) - active * log(down / rate.null)
        for _, bad, own in verdicts:
            assumed = max(LITTLE, own)
            nats += log(own / assumed) if bad else log((1 - own) / (1 - assumed))
        low, high = TURN_LIMITS
        episode.turned = min(CEILING, (1.0 + episode.turned) * min(max(exp(nats), low), high))

    def _gather(self, episode: Episode, minute: int, verdicts: tuple[Verdict, ...]) -> None:
        """Add the information that a quiet minute gives: what an outage would have shown."""
        rate = self.domain.lines.rate(self.domain, minute)
        down = self._down(episode, rate)
        nats = down * log(down / rate.null) - (down - rate.null)
        for place, bad, own in verdicts:
            if not bad:
                assumed = max(LITTLE, own)
                nats += assumed * log(assumed / own) + (1 - assumed) * log(
                    (1 - assumed) / (1 - own)
                )
                episode.recovered[place] = episode.recovered.get(place, 0) + 1
        episode.silence += nats


def _go_on(episode: Episode, minute: int) -> None:
    episode.gap = max(episode.gap, minute - episode.last_bad - 1)
    episode.last_bad = minute
    episode.silence = 0.0
    episode.recovered = {}
    if episode.turned >= TURNING:
        episode.turned = 0.0


def findings_of(
    domain: Domain, point: ScanPoint, *, policy: Policy, now: int | None
) -> tuple[Finding, ...]:
    """The stretches of trouble that a scan has found up to now, oldest first.

    ``now`` is None where all of them ended long ago.
    """
    if not point.episodes:
        return ()
    failing = () if now is None else domain.failing(now)
    last = point.minute if now is None else now
    return tuple(_finding(domain, episode, failing, policy, last) for episode in point.episodes)


def _finding(
    domain: Domain, episode: Episode, failing: tuple[str, ...], policy: Policy, now: int
) -> Finding:
    waiting = sorted(
        name
        for name in episode.failed_ever
        if episode.recovered.get(name, 0) < policy.probe_up_after
    )
    return Finding(
        domain=domain.name,
        services=domain.services,
        network=domain.network,
        wide=domain.wide,
        part=domain.part,
        onset=episode.onset,
        suspected=episode.suspected,
        confirmed=episode.confirmed,
        last_bad=episode.last_bad,
        silence=episode.silence,
        turned=episode.turned,
        waiting=tuple(waiting),
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
        failed_ever=episode.failed_ever,
        most_failing=episode.most_failing,
        locations=domain.locations,
        marks=_marks(domain, episode, now),
        gap=episode.gap,
    )


def _marks(domain: Domain, episode: Episode, now: int) -> tuple[int, ...]:
    """The smallest marks of the distinct reporters of a stretch, sealed minutes included."""
    found = set(episode.marks)
    last = min(now, episode.last_bad)
    for minute in range(max(episode.onset, episode.marked_to + 1), last + 1):
        found.update(domain.voices(minute))
    return tuple(sorted(found)[:REPORTERS_CAP])


def seal_marks(domain: Domain, point: ScanPoint, policy: Policy) -> None:
    """Take the reporters of minutes that are now final into the stretch that they belong to."""
    for episode in point.episodes:
        if point.minute - episode.last_bad > policy.quiet_minutes:
            continue
        found = set(episode.marks)
        for minute in range(max(episode.onset, episode.marked_to + 1), point.minute + 1):
            found.update(domain.voices(minute))
        if len(found) != len(episode.marks):
            episode.marks = sorted(found)[:REPORTERS_CAP]
        episode.marked_to = point.minute


__all__ = ["Finding", "Scan", "distinct", "findings_of", "seal_marks"]
