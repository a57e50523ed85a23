"""What receivers and readers of the feed were sent, judged by what the database says."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from tests.chaos.facts import Delivery, Facts
from tests.chaos.history import Asked, Heard, Told

PING = "test.ping"
OWN_NEWS = "subscription."  # news about a subscription does not go to itself unless it asks
DONE = "delivered"
STATES = frozenset({DONE, "pending", "superseded", "parked"})
MAY_BE_SUPERSEDED = "incident.updated"  # nothing else coalesces
NAMED = 100  # event ids in one header; the delivery log names all
ANY = "*"  # a header that is full may stand for more than it names

Found = Iterable[str]


def lost_deliveries(heard: Sequence[Heard], facts: Facts) -> Found:
    """Find committed events that are neither delivered nor pending nor parked for a subscription.

    One that is called delivered must have been accepted, itself or what superseded it.
    """
    planned: dict[tuple[str, str], list[Delivery]] = defaultdict(list)
    for delivery in facts.deliveries:
        planned[delivery.subscription, delivery.event].append(delivery)
    by_id = {delivery.id: delivery for delivery in facts.deliveries}
    accepted = {h.delivery for h in heard if h.accepted}
    for event in facts.events:
        for subscription, (tenant, _) in sorted(facts.subscriptions.items()):
            if tenant != event.tenant or event.type.startswith(OWN_NEWS):
                continue
            if not planned[subscription, event.id]:
                yield f"{event.id} is nowhere planned for {subscription}"
    named = _named(heard)
    for delivery in facts.deliveries:
        last = _standing(delivery, by_id)
        if delivery.state != DONE:
            continue
        if last.id not in accepted:
            yield f"{delivery.event} counts as delivered; {delivery.subscription} never took it"
        elif last is not delivery and not named & {
            (last.subscription, last.event, name) for name in (delivery.event, ANY)
        }:
            yield f"{last.event} stands for {delivery.event}; {last.subscription} was not told so"


def _named(heard: Sequence[Heard]) -> set[tuple[str, str, str]]:
    """Who took which event as standing for which other; a full header may stand for more."""
    return {
        (one.subscription, one.webhook_id, name)
        for one in heard
        if one.accepted
        for name in (one.superseded if len(one.superseded) < NAMED else (*one.superseded, ANY))
    }


def _standing(delivery: Delivery, by_id: dict[str, Delivery]) -> Delivery:
    """What was sent in its place, at last."""
    passed = {delivery.id}
    while delivery.superseded_by in by_id and delivery.superseded_by not in passed:
        delivery = by_id[delivery.superseded_by]
        passed.add(delivery.id)
    return delivery


def invisible_deliveries(facts: Facts) -> Found:
    """Find deliveries that stand nowhere, or that wait for something that will not come."""
    by_id = {delivery.id: delivery for delivery in facts.deliveries}
    for delivery in facts.deliveries:
        if delivery.state not in STATES:
            yield f"{delivery.id} is {delivery.state}, which nobody sees"
        if delivery.state == "superseded":
            last = _standing(delivery, by_id)
            if last.state in {DONE, "parked"}:
                yield f"{delivery.id} waits for {last.id}, which is {last.state}"
        if delivery.superseded_by and delivery.type != MAY_BE_SUPERSEDED:
            yield f"{delivery.event} was left out, but is {delivery.type}"


def lost_from_feed(told: Sequence[Told], facts: Facts) -> Found:
    """Find events that a reader of the feed never got."""
    got: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for one in told:
        got[one.reader, one.tenant][one.id] = one.sequence
    for (reader, tenant), had in sorted(got.items()):
        last = max(*had.values(), facts.fed.get(tenant, 0))
        for event in facts.events:
            if event.tenant == tenant and event.sequence <= last and event.id not in had:
                yield f"{reader} never got event {event.sequence} of {tenant} by the feed"


def phantom_deliveries(heard: Sequence[Heard], facts: Facts) -> Found:
    """Find attempts about events that were not committed, or that nobody vouches for."""
    committed = {(event.tenant, event.id) for event in facts.events}
    told: set[tuple[str, str, str]] = set()
    for one in heard:
        tenant, _ = facts.subscriptions.get(one.subscription, ("", ""))
        fault = ""
        if one.type != PING and (tenant, one.webhook_id) not in committed:
            fault = "was delivered and never committed"
        elif not one.genuine:
            fault = "was delivered with a signature that does not fit"
        if fault and (one.subscription, one.webhook_id, fault) not in told:
            told.add((one.subscription, one.webhook_id, fault))
            yield f"{one.webhook_id} {fault} ({one.subscription})"


def phantom_plans(facts: Facts) -> Found:
    """Find deliveries of uncommitted events, of other tenants, or planned twice."""
    events = {event.id: event for event in facts.events}
    times = Counter((d.subscription, d.event, d.replay) for d in facts.deliveries)
    for delivery in facts.deliveries:
        event = events.get(delivery.event)
        tenant, _ = facts.subscriptions.get(delivery.subscription, ("", ""))
        if delivery.type == PING:
            continue
        if event is None:
            yield f"{delivery.id} is planned for {delivery.event}, which was never committed"
        elif event.tenant != tenant:
            yield f"{delivery.id} would bring an event of {event.tenant} to {tenant or 'nobody'}"
    for (subscription, name, _), count in sorted(times.items()):
        if count > 1:
            yield f"{name} is planned {count} times for {subscription}"


def phantom_attempts(heard: Sequence[Heard], facts: Facts) -> Found:
    """Find answers in the attempt log that the receiver never gave."""
    accepted = Counter(h.delivery for h in heard if h.accepted)
    for delivery in facts.deliveries:
        times = accepted[delivery.id]
        if delivery.taken > times:
            yield f"{delivery.id} was taken {delivery.taken} times by its log, in truth {times}"


def phantom_told(told: Sequence[Told], facts: Facts) -> Found:
    """Find events in the feed that were not committed, or under another number."""
    committed = {(event.tenant, event.id, event.sequence) for event in facts.events}
    for one in told:
        if (one.tenant, one.id, one.sequence) not in committed:
            yield f"{one.reader} got {one.id} as event {one.sequence}, which was never committed"


def needless_repeats(heard: Sequence[Heard], facts: Facts) -> Found:
    """Find what was taken again although every earlier answer had been written down."""
    accepted = Counter(h.delivery for h in heard if h.accepted)
    for delivery in facts.deliveries:
        times = accepted[delivery.id]
        open_ended = delivery.claims - delivery.answered  # attempts of unknown outcome
        if delivery.taken > 1:
            yield f"{delivery.id} was taken {delivery.taken} times, and each was written down"
        elif times > 1 + open_ended:
            yield f"{delivery.id} was taken {times} times, {open_ended} attempts were cut off"


def unheard(facts: Facts) -> int:
    """Count attempts whose answer was never learned: cut off by an end, or not answered in time."""
    return sum(max(one.claims - one.answered, 0) for one in facts.deliveries)


def duplicate_deliveries(heard: Sequence[Heard]) -> Found:
    """Find what was accepted more than once; one sentence per extra time. A replay is none."""
    times = Counter((h.subscription, h.webhook_id, h.replay) for h in heard if h.accepted)
    for (subscription, name, _), count in sorted(times.items()):
        for _ in range(count - 1):
            yield f"{name} was accepted once more by {subscription}"


def inversions(heard: Sequence[Heard]) -> Found:
    """Find events of one incident that a subscription first accepted after a later one.

    A replay keeps an order of its own: it tells again what newer events had made superfluous.
    """
    newest: dict[tuple[str, str, str], int] = {}
    taken: set[tuple[str, str, str]] = set()
    for one in heard:
        if not one.accepted or one.incident is None:
            continue
        if (one.subscription, one.webhook_id, one.replay) in taken:
            continue
        taken.add((one.subscription, one.webhook_id, one.replay))
        lane = (one.subscription, one.incident, one.replay)
        if one.sequence < newest.get(lane, 0):
            yield f"{one.webhook_id} came after event {newest[lane]} of its incident ({lane[0]})"
        newest[lane] = max(newest.get(lane, 0), one.sequence)


def inverted_feed(told: Sequence[Told]) -> Found:
    """Find events that a reader of the feed got after a later one, or again."""
    newest: dict[tuple[str, str], int] = {}
    for one in told:
        lane = (one.reader, one.tenant)
        if one.sequence <= newest.get(lane, 0):
            yield f"{one.reader} got event {one.sequence} of {one.tenant} after {newest[lane]}"
        newest[lane] = max(newest.get(lane, 0), one.sequence)


def drifted_bodies(heard: Sequence[Heard], facts: Facts) -> Found:
    """Find ids that came with different bytes, or native bodies unlike the event's own bytes."""
    frozen = {event.id: event.digest for event in facts.events}
    bodies: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in heard:
        bodies[one.subscription, one.webhook_id].add(one.digest)
    for (subscription, name), digests in sorted(bodies.items()):
        _, form = facts.subscriptions.get(subscription, ("", ""))
        if len(digests) > 1:
            yield f"{name} came to {subscription} in {len(digests)} different bodies"
        elif form == "native" and digests != {frozen.get(name, *digests)}:
            yield f"{name} came to {subscription} in other bytes than the event log has"


def drifted_content(heard: Sequence[Heard], told: Sequence[Told], facts: Facts) -> Found:
    """Find deliveries and feed entries that say something else than the event in the log."""
    frozen = {event.id: event.content for event in facts.events}
    said = {(h.subscription, h.webhook_id, h.content) for h in heard if h.content}
    said |= {(t.reader, t.id, t.content) for t in told}
    for where, name, content in sorted(said):
        if frozen.get(name, content) != content:
            yield f"{name} came to {where} and says something else than the event log"


def lost_replays(asked: Sequence[Asked], facts: Facts) -> Found:
    """Find replays that were acknowledged and are not there, never ended, or left events out."""
    there = {replay.id for replay in facts.replays}
    for one in asked:
        if one.replay not in there:
            yield f"{one.replay} was acknowledged and is nowhere"
    again = {(d.subscription, d.event, d.replay) for d in facts.deliveries}
    for replay in facts.replays:
        tenant, _ = facts.subscriptions.get(replay.subscription, ("", ""))
        if not replay.ended:
            yield f"{replay.id} never ended"
        for event in facts.events if replay.select == "all" else ():
            meant = event.tenant == tenant and not event.type.startswith(OWN_NEWS)
            within = replay.since_ms <= event.at_ms < replay.until_ms
            if not meant or not within or event.sequence > replay.position:
                continue  # what is newer than the last that was looked at was new then
            if (replay.subscription, event.id, replay.id) not in again:
                yield f"{event.id} was left out of {replay.id}"


def phantom_replays(asked: Sequence[Asked], facts: Facts) -> Found:
    """Find replays that nobody asked for, and of what was never missing."""
    known = {one.replay for one in asked}
    first = {(d.subscription, d.event) for d in facts.deliveries if not d.replay}
    missing = {replay.id for replay in facts.replays if replay.select == "missing"}
    for replay in facts.replays:
        if replay.id not in known:
            yield f"{replay.id} was asked for by nobody, or twice for once"
    for one in facts.deliveries:
        if one.replay in missing and (one.subscription, one.event) in first:
            yield f"{one.replay} sent {one.event}, which was not missing"


def drifted_replays(heard: Sequence[Heard], facts: Facts) -> Found:
    """Find attempts that name another replay than the one that their delivery belongs to."""
    of = {delivery.id: delivery.replay for delivery in facts.deliveries}
    for name, replay in sorted({(one.delivery, one.replay) for one in heard}):
        if of.get(name, replay) != replay:
            yield f"{name} was sent as of {replay or 'no replay'}, it is of {of[name] or 'none'}"
