"""Entering: new signals and commands into the working state of one step."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from app.core.aggregate import add_probe_results, add_reports
from app.core.commands import obey
from app.core.desk import Desk
from app.core.events import Actor, EventType
from app.core.rulings import RULED, hold_merged, obey_ruling
from app.core.signal import Advisory, ClientReport, Command, ProbeResult, Signal, SourceFreshness
from app.core.state import KnownAdvisory, instant_of
from app.core.types import ActorKind
from app.core.undo import copied, remember, undo

NEWS = {
    "source_stale": EventType.SOURCE_STALE,
    "source_recovered": EventType.SOURCE_RECOVERED,
    "source_unknown_value": EventType.SOURCE_UNKNOWN_VALUE,
    "subscription_failing": EventType.SUBSCRIPTION_FAILING,
    "subscription_disabled": EventType.SUBSCRIPTION_DISABLED,
    "subscription_recovered": EventType.SUBSCRIPTION_RECOVERED,
    "subscription_replay_finished": EventType.SUBSCRIPTION_REPLAY_FINISHED,
    "link_conflict": EventType.LINK_CONFLICT,
    "channel_failing": EventType.CHANNEL_FAILING,
    "channel_recovered": EventType.CHANNEL_RECOVERED,
}


def take_in(desk: Desk, signals: Sequence[Signal]) -> None:
    """Enter the signals into the state; commands are carried out afterwards."""
    reports: list[ClientReport] = []
    results: list[ProbeResult] = []
    final = instant_of(desk.state.sealed_to + 1)  # what happened before it is in minutes for good
    for signal in signals:
        if isinstance(signal, ClientReport):
            if (signal.occurred_at >= final and not signal.late) or _is_known(desk, signal):
                reports.append(signal)
        elif isinstance(signal, ProbeResult) and (
            (signal.occurred_at >= final and not signal.late) or _is_known(desk, signal)
        ):
            results.append(signal)
    if reports:
        desk.state, said = add_reports(desk.state, reports)
        desk.touched.join(said)
    if results:
        desk.state, said = add_probe_results(desk.state, results)
        desk.touched.join(said)
    for advisory in sorted(
        (s for s in signals if isinstance(s, Advisory)),
        key=lambda a: (a.vendor_id, a.received_at, a.last_modified_at, a.id),
    ):
        _revise(desk, advisory)


def _is_known(desk: Desk, signal: ClientReport | ProbeResult) -> bool:
    """Whether a late signal is evidence of what is known already; it opens nothing."""
    return any(
        i.onset_at <= signal.occurred_at <= (i.resolved_at or desk.now)
        for i in desk.incidents.values()
        if i.detected_at is not None and signal.service in i.services
    )


def _revise(desk: Desk, advisory: Advisory) -> None:
    known = desk.state.advisories.get(advisory.vendor_id)
    if known is not None and known.advisory.id == advisory.id:
        return
    posts = sorted(p.created_at for p in advisory.posts)
    first = posts[0] if posts else (known.first_post_at if known else None)
    fresh = KnownAdvisory(
        advisory=replace(advisory, posts=(), details=()),
        revision=(known.revision if known else 0) + 1,
        first_post_at=first,
    )
    desk.revised[advisory.vendor_id] = replace(fresh, advisory=advisory)
    advisories = {**desk.state.advisories, advisory.vendor_id: fresh}
    desk.state = replace(desk.state, advisories=advisories)


def obey_all(desk: Desk, commands: Iterable[Command]) -> None:
    """Carry out commands and take note of news."""
    for command in sorted(commands, key=lambda c: (c.received_at, c.id)):
        if command.name in NEWS:
            _news(desk, command)
            continue
        if command.name == "undo":
            undo(desk, command)
            continue
        before, told = copied(desk), len(desk.log.events)
        _obey(desk, command)
        remember(desk, command.name, before, desk.log.events[told:])


def _obey(desk: Desk, command: Command) -> None:
    if command.name in RULED:
        obey_ruling(desk, command)
        return
    opening = command.name == "open"
    desk.number += int(opening)
    for incident in obey(desk.log, desk.incidents, command, count=desk.number):
        desk.incidents[incident.id] = incident
    if command.name == "merge":
        gone = desk.incidents[str(command.incident)]
        hold_merged(desk, gone, desk.incidents[str(gone.merged_into)])


def _news(desk: Desk, command: Command) -> None:
    facts = dict(command.body)
    if command.name == "source_unknown_value":
        mark = f"{facts.get('field')}={facts.get('value')}"
        if mark in desk.state.unknown_values:
            return
        marks = tuple(sorted({*desk.state.unknown_values, mark}))
        desk.state = replace(desk.state, unknown_values=marks)
    if command.name in ("source_stale", "source_recovered"):
        _freshness(
            desk,
            str(facts.get("source")),
            stale=command.name == "source_stale",
            kind=str(facts.get("kind") or "advisory"),
        )
    actor = Actor(kind=ActorKind(command.actor_kind), id=command.actor)
    desk.log.tell(NEWS[command.name], reason=command.name, actor=actor, facts=facts)


def _freshness(desk: Desk, source: str, *, stale: bool, kind: str) -> None:
    others = [s for s in desk.state.stale if s.source != source]
    if stale:
        others.append(SourceFreshness(source=source, kind=kind, stale=True))
    ordered = tuple(sorted(others, key=lambda s: s.source))
    desk.state = replace(desk.state, stale=ordered)
