"""Baselines: what usual rules make of the same signals; each an honest rule with usual settings.

*threshold*: a service is down while five people report it in a quarter of an hour, or two vantages
fail within three minutes. *window*: bad signals of one service less than five minutes apart are one
incident, told half a minute after its first (the defaults of grouping tools). *ratio*: people who
report a service in a quarter of an hour are three times the mean of that hour of the day, and at
least three (what crowd trackers describe); days before teach the mean. *vendor*: each advisory is
an incident, from its arrival until it says resolved.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.core.signal import Advisory, ClientReport, ProbeResult
from app.core.types import Outcome, SelfCheck
from app.flow.offline import RecordedLine
from bench.evaluate.story import Claim, Story, simple_claim

QUARTER = timedelta(minutes=15)
ACTORS = 5  # of the static threshold
VANTAGES = 2  # of the same, failing within ``SWIFT``
SWIFT = timedelta(minutes=3)
GROUP_GAP = timedelta(minutes=5)
GROUP_WAIT = timedelta(seconds=30)
RATIO = 3.0
LEAST = 3  # reporters of the ratio rule
PRIOR = 0.0015  # reports per user and hour, before a day was seen
SUITE = "microsoft-365-suite"


@dataclass(slots=True)
class _Recent:
    """The bad signals of one service in the last quarter of an hour."""

    reports: deque[tuple[datetime, str]] = field(default_factory=deque)
    vantages: dict[str, datetime] = field(default_factory=dict)

    def take(self, line: RecordedLine) -> None:
        at, signal = line.received_at, line.signal
        if isinstance(signal, ClientReport):
            self.reports.append((at, signal.actor))
        elif isinstance(signal, ProbeResult):
            self.vantages[signal.location] = at
        while self.reports and at - self.reports[0][0] > QUARTER:
            self.reports.popleft()

    @property
    def actors(self) -> int:
        return len({actor for _, actor in self.reports})

    def failing(self, at: datetime) -> int:
        return sum(at - since <= SWIFT for since in self.vantages.values())


IsHot = Callable[[str, _Recent, datetime], bool]


@dataclass(slots=True)
class _Spell:
    service: str
    start: datetime
    last: datetime


def _is_bad(line: RecordedLine) -> bool:
    signal = line.signal
    if isinstance(signal, ProbeResult):
        return signal.outcome is Outcome.FAILED and signal.self_check is not SelfCheck.FAILED
    return isinstance(signal, ClientReport)


def _service(line: RecordedLine) -> str:
    return getattr(line.signal, "service", "other")


def _spells(lines: Sequence[RecordedLine], is_hot: IsHot, quiet: timedelta) -> list[_Spell]:
    """Stretches in which a service was hot; they end when it was not for ``quiet``."""
    recent: dict[str, _Recent] = {}
    running: dict[str, _Spell] = {}
    ended: list[_Spell] = []
    for line in lines:
        if not _is_bad(line):
            continue
        service, at = _service(line), line.received_at
        seen = recent.setdefault(service, _Recent())
        seen.take(line)
        if not is_hot(service, seen, at):
            continue
        spell = running.get(service)
        if spell is not None and at - spell.last <= quiet:
            spell.last = at
            continue
        if spell is not None:
            ended.append(spell)
        running[service] = _Spell(service, at, at)
    return sorted([*ended, *running.values()], key=lambda s: (s.start, s.service))


def _story(
    lines: Sequence[RecordedLine],
    spells: Sequence[_Spell],
    *,
    reach: timedelta,
    quiet: timedelta,
    wait: timedelta = timedelta(0),
) -> Story:
    """Claims from spells; each holds the bad signals of its service, and the advisories."""
    by_service: dict[str, list[tuple[_Spell, Claim]]] = {}
    claims = []
    for number, spell in enumerate(spells):
        claim = simple_claim(f"b{number:04d}", services=[spell.service], start=spell.start + wait,
                             end=spell.last + quiet)  # fmt: skip
        claims.append(claim)
        by_service.setdefault(spell.service, []).append((spell, claim))
    holders: dict[str, str | None] = {}
    for line in lines:
        advisory = isinstance(line.signal, Advisory)
        if not advisory and not _is_bad(line):
            holders[line.ref] = None
            continue
        names = list(by_service) if _service(line) == SUITE else [_service(line)]
        holder = next(
            (
                claim
                for name in names
                for spell, claim in by_service.get(name, [])
                if spell.start - reach <= line.received_at <= spell.last + quiet
            ),
            None,
        )
        holders[line.ref] = holder.id if holder is not None else None
        if holder is not None and isinstance(line.signal, Advisory):
            holder.links.setdefault(line.signal.vendor_id, line.received_at)
    return Story(claims=tuple(claims), holders=holders)


def threshold(lines: Sequence[RecordedLine], users: int) -> Story:
    """A static threshold for each service, whatever the size of the tenant."""
    del users

    def is_hot(_: str, recent: _Recent, at: datetime) -> bool:
        return recent.actors >= ACTORS or recent.failing(at) >= VANTAGES

    return _story(lines, _spells(lines, is_hot, QUARTER), reach=QUARTER, quiet=QUARTER)


def window(lines: Sequence[RecordedLine], users: int) -> Story:
    """Grouping by service and time, as routing tools do."""
    del users
    spells = _spells(lines, lambda *_: True, GROUP_GAP)
    return _story(lines, spells, reach=timedelta(0), quiet=GROUP_GAP, wait=GROUP_WAIT)


class _Means:
    """The mean of reporters per quarter of an hour, by service and hour of the day."""

    def __init__(self, lines: Sequence[RecordedLine], users: int) -> None:
        self.prior = max(users * PRIOR / 4 / 4, 0.05)  # four services, four quarters
        self.counts: Counter[tuple[str, int, int]] = Counter()
        self.first = lines[0].received_at.toordinal() if lines else 0
        for line in lines:
            if isinstance(line.signal, ClientReport):
                at = line.received_at
                self.counts[_service(line), at.toordinal(), at.hour] += 1

    def of(self, service: str, at: datetime) -> float:
        """The mean from the days before; the first day knows only the prior."""
        days = range(self.first, at.toordinal())
        if not days:
            return self.prior
        return sum(self.counts[service, day, at.hour] for day in days) / len(days) / 4


def ratio(lines: Sequence[RecordedLine], users: int) -> Story:
    """The ratio to the mean of the hour, as crowd trackers describe it."""
    means = _Means(lines, users)

    def is_hot(service: str, recent: _Recent, at: datetime) -> bool:
        return recent.actors >= max(LEAST, RATIO * means.of(service, at))

    return _story(lines, _spells(lines, is_hot, QUARTER), reach=QUARTER, quiet=QUARTER)


def vendor(lines: Sequence[RecordedLine], users: int) -> Story:
    """What a dashboard of advisories alone knows."""
    del users
    claims: dict[str, Claim] = {}
    holders: dict[str, str | None] = {}
    for line in lines:
        signal = line.signal
        holders[line.ref] = None
        if not isinstance(signal, Advisory):
            continue
        claim = claims.get(signal.vendor_id)
        if claim is None and not signal.is_resolved:
            claim = claims[signal.vendor_id] = simple_claim(
                f"v-{signal.vendor_id}", services=[signal.service], start=line.received_at,
                end=None, links={signal.vendor_id: line.received_at},
            )  # fmt: skip
        if claim is not None:
            holders[line.ref] = claim.id
            if signal.is_resolved and not claim.ends:
                claim.ends.append(line.received_at)
    return Story(claims=tuple(claims.values()), holders=holders)


BASELINES: dict[str, Callable[[Sequence[RecordedLine], int], Story]] = {
    "threshold": threshold,
    "window": window,
    "ratio": ratio,
    "vendor": vendor,
}
