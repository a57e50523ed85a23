"""The one judge of every chaos test: the logs of the outside against the database.

It computes what was lost, phantom, duplicate, inverted or drifted. Only duplicates may be there:
delivery is at least once, everything else is a promise.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter

from app.core.aggregate import mark_of
from app.core.state import ACTOR_CAP, EPOCH
from tests.chaos.facts import OWN, Event, Facts, Minute, Record, Tally
from tests.chaos.history import Act, Asked, Door, Heard, Phase, Told
from tests.chaos.sent import (
    drifted_bodies,
    drifted_content,
    drifted_replays,
    duplicate_deliveries,
    inversions,
    inverted_feed,
    invisible_deliveries,
    lost_deliveries,
    lost_from_feed,
    lost_replays,
    needless_repeats,
    phantom_attempts,
    phantom_deliveries,
    phantom_plans,
    phantom_replays,
    phantom_told,
)

KINDS = {
    Door.REPORTS: "client_report",
    Door.RESULTS: "probe_result",
    Door.COMMANDS: "command",
}

Found = Iterable[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found, as sentences; everything but ``duplicate`` must be empty."""

    lost: tuple[str, ...] = ()
    phantom: tuple[str, ...] = ()
    duplicate: tuple[str, ...] = ()
    inverted: tuple[str, ...] = ()
    drifted: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.phantom or self.inverted or self.drifted)

    def counts(self) -> dict[str, int]:
        """How many of each."""
        return {part.name: len(getattr(self, part.name)) for part in fields(self)}


def check(
    acts: Sequence[Act],
    heard: Sequence[Heard],
    facts: Facts,
    told: Sequence[Told] = (),
    asked: Sequence[Asked] = (),
) -> Verdict:
    """Judge a run that has ended; pure.

    Args:
        acts: what clients asked and were told, in order.
        heard: what the receiver was sent, in the order in which it had done with it.
        facts: what the database says afterwards.
        told: what readers of the feed got, each to the end, in the order in which they got it.
        asked: which replays were acknowledged.
    """
    recount = recounted(facts)
    return Verdict(
        lost=(
            *lost_signals(acts, facts),
            *lost_events(facts),
            *lost_deliveries(heard, facts),
            *invisible_deliveries(facts),
            *lost_from_feed(told, facts),
            *lost_replays(asked, facts),
        ),
        phantom=(
            *phantom_signals(acts, facts),
            *phantom_deliveries(heard, facts),
            *phantom_plans(facts),
            *phantom_attempts(heard, facts),
            *phantom_told(told, facts),
            *phantom_replays(asked, facts),
            *repeated_commands(facts),
        ),
        duplicate=tuple(duplicate_deliveries(heard)),
        inverted=(*inversions(heard), *inverted_feed(told)),
        drifted=(
            *drifted_bodies(heard, facts),
            *drifted_content(heard, told, facts),
            *needless_repeats(heard, facts),
            *drifted_replays(heard, facts),
            *drifted_signals(acts, facts),
            *drifted_checkpoints(facts),
            *drifted_counts(facts, recount),
            *drifted_incidents(facts, recount),
        ),
    )


def _marks(acts: Sequence[Act], phase: Phase) -> set[tuple[str, str, str]]:
    return {
        (act.tenant, KINDS[act.door], mark)
        for act in acts
        if act.phase is phase
        for mark in act.marks
    }


def _is_own(record: Record, facts: Facts) -> bool:
    return record.kind in facts.own and not record.mark


def lost_signals(acts: Sequence[Act], facts: Facts) -> Found:
    """Find what was acknowledged and is not in the intake log."""
    stored = {(r.tenant, r.kind, r.mark) for r in facts.records}
    for tenant, kind, mark in sorted(_marks(acts, Phase.OK) - stored):
        yield f"{kind} {mark} of {tenant} was acknowledged and is not in the intake log"


def lost_events(facts: Facts) -> Found:
    """Find holes: sequences of a tenant and revisions of an incident that no event has."""
    by_tenant: dict[str, list[Event]] = defaultdict(list)
    revisions: dict[tuple[str, str], set[int]] = defaultdict(set)
    for event in facts.events:
        by_tenant[event.tenant].append(event)
        if event.incident is not None and event.revision is not None:
            revisions[event.tenant, event.incident].add(event.revision)
    for tenant in sorted(by_tenant.keys() | facts.checkpoints.keys()):
        point = facts.checkpoints.get(tenant)
        last = point.sequence if point else 0
        there = {event.sequence for event in by_tenant[tenant]}
        for sequence in sorted(set(range(1, last + 1)) - there):
            yield f"event {sequence} of {tenant} is not in the log"
    for incident in facts.incidents:
        told = revisions[incident.tenant, incident.id]
        for revision in sorted(set(range(1, incident.revision + 1)) - told):
            yield f"revision {revision} of {incident.id} was told by no event"


def phantom_signals(acts: Sequence[Act], facts: Facts) -> Found:
    """Find stored signals that nobody sent, and that are not Sextant's own."""
    sent = _marks(acts, Phase.INVOKE)
    for record in facts.records:
        if not _is_own(record, facts) and (record.tenant, record.kind, record.mark) not in sent:
            yield f"{record.kind} {record.mark or record.id} of {record.tenant} was sent by nobody"


def repeated_commands(facts: Facts) -> Found:
    """Find commands that took effect more than once; those that are repeated have a key."""
    times = Counter((r.tenant, r.mark) for r in facts.records if r.kind == "command" and r.mark)
    for (tenant, mark), count in sorted(times.items()):
        for _ in range(count - 1):
            yield f"command {mark} of {tenant} took effect once more"


def drifted_signals(acts: Sequence[Act], facts: Facts) -> Found:
    """Find second arrivals that changed something: stored twice, or acknowledged as new twice."""
    reports = [r for r in facts.records if r.kind != "command" and not _is_own(r, facts)]
    for name_of in (attrgetter("id"), attrgetter("mark")):
        times = Counter((r.tenant, r.kind, name_of(r)) for r in reports)
        for (tenant, kind, name), count in sorted(times.items()):
            if count > 1:
                yield f"{kind} {name} of {tenant} is in the intake log {count} times"
    for door in (Door.REPORTS, Door.RESULTS):
        said = sum(act.accepted for act in acts if act.phase is Phase.OK and act.door is door)
        there = sum(1 for r in reports if r.kind == KINDS[door])
        if said > there:
            yield f"{said} signals were called new at {door}, {there} are stored"


def drifted_checkpoints(facts: Facts) -> Found:
    """Find folds that stand before or behind their log, and damage to the file itself."""
    if not facts.sound:
        yield "the database file is damaged"
    last: dict[str, int] = defaultdict(int)
    for event in facts.events:
        last[event.tenant] = max(last[event.tenant], event.sequence)
    for tenant in sorted(facts.checkpoints.keys() | facts.heads.keys()):
        point = facts.checkpoints.get(tenant)
        head = facts.heads.get(tenant, (0, 0))
        at = point.position if point else (0, 0)
        # Who reads, probes and folds at once is stopped somewhere in between.
        if at != head and (at > head or facts.own == OWN):
            word = "beyond" if at > head else "behind"
            yield f"the fold of {tenant} stands at {at}, {word} the log's end at {head}"
        if point is not None and point.sequence != last[tenant]:
            yield f"{tenant} counts {point.sequence} events, its log ends with {last[tenant]}"


def recounted(facts: Facts) -> dict[Minute, Tally]:
    """Count the intake log anew, up to where each fold says that it stands; each signal once."""
    counts: Counter[Minute] = Counter()
    spoken: dict[tuple[str, str, int], dict[str, tuple[int, str, int]]] = defaultdict(dict)
    failed: Counter[Minute] = Counter()
    seen: set[tuple[str, str, str]] = set()
    for record in facts.records:
        point = facts.checkpoints.get(record.tenant)
        name = (record.tenant, record.kind, record.id)
        if record.position is None or not record.cell or point is None or name in seen:
            continue
        if record.position > point.position:
            continue
        seen.add(name)
        where = (record.tenant, record.cell, record.minute)
        counts[where] += record.count
        failed[where] += record.failed
        if record.actor is not None:
            epoch = spoken[record.tenant, record.cell.partition("|")[0], record.minute // EPOCH]
            said = (record.at_ms, record.cell, record.minute)
            epoch[record.actor] = min(said, epoch.get(record.actor, said))
    firsts = _firsts(spoken)
    return {where: (count, failed[where] or firsts[where]) for where, count in counts.items()}


def _firsts(
    spoken: dict[tuple[str, str, int], dict[str, tuple[int, str, int]]],
) -> Counter[Minute]:
    """Count the first report of each reporter and epoch, of those whom the engine keeps."""
    found: Counter[Minute] = Counter()
    for (tenant, _, _), said in spoken.items():
        for actor in sorted(said, key=mark_of)[:ACTOR_CAP]:
            _, cell, minute = said[actor]
            found[tenant, cell, minute] += 1
    return found


def drifted_counts(facts: Facts, recount: dict[Minute, Tally]) -> Found:
    """Find minutes in which the engine counted otherwise than the log."""
    for where in sorted(recount.keys() | facts.tallies.keys()):
        tenant, cell, minute = where
        point = facts.checkpoints.get(tenant)
        if where not in facts.tallies and (point is None or minute < point.horizon):
            continue
        ours, log = facts.tallies.get(where, (0, 0)), recount.get(where, (0, 0))
        if ours != log:
            yield f"{cell} of {tenant} in minute {minute}: the engine has {ours}, the log {log}"


def drifted_incidents(facts: Facts, recount: dict[Minute, Tally]) -> Found:
    """Find incidents that claim more than the log holds, or that lag behind what was told."""
    revisions: dict[tuple[str, str], list[int]] = defaultdict(list)
    for event in facts.events:
        if event.incident is not None and event.revision is not None:
            revisions[event.tenant, event.incident].append(event.revision)
    for incident in facts.incidents:
        told = revisions[incident.tenant, incident.id]
        if len(set(told)) != len(told) or max(told, default=0) > incident.revision:
            yield f"{incident.id} is at revision {incident.revision}, its events tell {told}"
        most = sum(
            count
            for (tenant, cell, minute), (count, _) in recount.items()
            if tenant == incident.tenant
            and minute >= incident.onset
            and cell.partition("|")[0] in incident.services
        )
        if incident.reports > most:
            yield f"{incident.id} claims {incident.reports} reports, the log holds {most}"
        for where, count in sorted(incident.series.items()):
            log, _ = recount.get(where, (0, 0))
            if count > log or (incident.is_open and count != log):
                yield f"{incident.id} shows {count} reports of {where[1]}, the log holds {log}"
