"""Differences: what another policy would have opened, missed, seen earlier, or grouped otherwise.

Incidents of two folds of the same signals are paired by id, then by place and time; what stays
over was opened or missed, unless a paired incident took it in: then it was merged otherwise.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.core.document import rfc3339
from app.core.incident import Incident
from app.core.types import Origin, Resolution, Status

Pair = tuple[Incident, Incident]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The difference of incidents; pairs are (stored, replayed), groups (stored, replayed).

    ``false`` are the false alarms of either side, whether or not they came out otherwise.
    """

    same: tuple[Pair, ...] = ()
    earlier: tuple[Pair, ...] = ()
    later: tuple[Pair, ...] = ()
    opened: tuple[Incident, ...] = ()
    missed: tuple[Incident, ...] = ()
    regrouped: tuple[tuple[tuple[Incident, ...], tuple[Incident, ...]], ...] = ()
    changed: tuple[tuple[Incident, Incident, tuple[str, ...]], ...] = field(default=())
    false: tuple[tuple[Incident, ...], tuple[Incident, ...]] = ((), ())

    @property
    def is_empty(self) -> bool:
        """Whether the two folds gave the same incidents."""
        return not (self.earlier or self.later or self.opened or self.missed or self.regrouped
                    or self.changed)  # fmt: skip


COMPARED = ("detected_at", "resolved_at", "status", "origin", "severity", "services")


def _place(incident: Incident) -> frozenset[str]:
    """The names by which an incident can be the same as another."""
    if incident.by_person:
        return frozenset({incident.key})
    posts = frozenset(f"advisory:{advisory.id}" for advisory in incident.advisories)
    if incident.detected_at is None:
        return posts or frozenset({incident.key})
    if incident.origin is Origin.LOCAL and incident.networks:
        return posts | {f"network:{name}" for name in incident.networks}
    return posts | {f"service:{name}" for name in incident.services}


def _end(incident: Incident, until: datetime) -> datetime:
    ended = incident.resolved_at or incident.closed_at
    return until if ended is None else ended


def _overlap(one: Incident, other: Incident, until: datetime) -> float:
    """Seconds for which both were going on at a common place; negative where there is none."""
    if not _place(one) & _place(other):
        return -1.0
    start = max(one.onset_at, other.onset_at)
    return (min(_end(one, until), _end(other, until)) - start).total_seconds()


def _pairs(stored: Sequence[Incident], replayed: Sequence[Incident], until: datetime) -> list[Pair]:
    by_id: dict[str, Incident] = {incident.id: incident for incident in replayed}
    found = [(one, by_id[one.id]) for one in stored if one.id in by_id]
    left = [one for one in stored if one.id not in by_id]
    taken = {other.id for _, other in found}
    close = sorted(
        (-_overlap(one, other, until), one.opened_at, one.id, other.id)
        for one in left
        for other in replayed
        if other.id not in taken and _overlap(one, other, until) >= 0
    )
    names: dict[str, Incident] = {one.id: one for one in left}
    for _, _, one_id, other_id in close:
        if one_id in names and other_id not in taken:
            found.append((names.pop(one_id), by_id[other_id]))
            taken.add(other_id)
    return sorted(found, key=lambda pair: (pair[0].opened_at, pair[0].id))


def _survivor(incident: Incident, among: Mapping[str, Incident]) -> str:
    name = incident.id
    while among[name].merged_into is not None and among[name].merged_into in among:
        name = among[name].merged_into or name
    return name


def _regrouped(
    pairs: Sequence[Pair], stored: Mapping[str, Incident], replayed: Mapping[str, Incident]
) -> list[tuple[set[str], set[str]]]:
    """Groups of survivors that do not correspond one to one."""
    groups: list[tuple[set[str], set[str]]] = []
    for one, other in pairs:
        left, right = _survivor(one, stored), _survivor(other, replayed)
        touched = [g for g in groups if left in g[0] or right in g[1]]
        joined = ({left}.union(*(g[0] for g in touched)), {right}.union(*(g[1] for g in touched)))
        groups = [g for g in groups if g not in touched] + [joined]
    return groups


def _first(incident: Incident) -> datetime:
    """When it was told as a fact; of one that never was, when it was suspected or opened."""
    return incident.confirmed_at or incident.detected_at or incident.opened_at


def _changes(one: Incident, other: Incident, until: datetime) -> tuple[str, ...]:
    def value(incident: Incident, name: str) -> Any:
        found = getattr(incident, name)
        return None if isinstance(found, datetime) and found > until else found

    names = COMPARED if one.updated_at <= until else COMPARED[:1]  # the rest may be of later
    return tuple(name for name in names if value(one, name) != value(other, name))


def _is_false(incident: Incident) -> bool:
    dismissed = incident.status is Status.DISMISSED
    return dismissed or incident.resolution is Resolution.FALSE_POSITIVE


def _false(
    stored: Iterable[Incident], replayed: Iterable[Incident], pairs: Sequence[Pair]
) -> tuple[tuple[Incident, ...], tuple[Incident, ...]]:
    """The false alarms of either side.

    What a person dismissed is false under any policy, also where the command found nothing that
    it could dismiss again.
    """
    judged = {other.id for one, other in pairs if _is_false(one)}
    return (
        tuple(one for one in stored if _is_false(one)),
        tuple(one for one in replayed if _is_false(one) or one.id in judged),
    )


def difference(
    stored: Iterable[Incident], replayed: Iterable[Incident], *, until: datetime
) -> Difference:
    """Compare the incidents of two folds of the same signals up to an instant."""
    left: dict[str, Incident] = {incident.id: incident for incident in stored}
    right: dict[str, Incident] = {incident.id: incident for incident in replayed}
    pairs = _pairs(list(left.values()), list(right.values()), until)
    groups = _regrouped(pairs, left, right)
    paired = ({one.id for one, _ in pairs}, {other.id for _, other in pairs})
    missed = [one for one in left.values() if one.id not in paired[0]]
    opened = [one for one in right.values() if one.id not in paired[1]]
    for one in list(missed):
        near = [g for g in groups if any(_overlap(one, right[n], until) >= 0 for n in g[1])]
        if near:
            near[0][0].add(one.id)
            missed.remove(one)
    for other in list(opened):
        near = [g for g in groups if any(_overlap(left[n], other, until) >= 0 for n in g[0])]
        if near:
            near[0][1].add(other.id)
            opened.remove(other)
    alive = [(a, b) for a, b in pairs if Status.MERGED not in (a.status, b.status)]
    changes = [(a, b, _changes(a, b, until)) for a, b in alive]
    return Difference(
        same=tuple((a, b) for a, b in alive if _first(a) == _first(b)),
        earlier=tuple((a, b) for a, b in alive if _first(b) < _first(a)),
        later=tuple((a, b) for a, b in alive if _first(b) > _first(a)),
        opened=tuple(opened),
        missed=tuple(missed),
        regrouped=tuple(
            (tuple(left[n] for n in sorted(a)), tuple(right[n] for n in sorted(b)))
            for a, b in groups
            if len(a) > 1 or len(b) > 1
        ),
        changed=tuple(change for change in changes if change[2]),
        false=_false(left.values(), right.values(), pairs),
    )


def brief(incident: Incident) -> dict[str, Any]:
    """What names an incident in a difference."""
    return {
        "id": incident.id,
        "title": incident.title,
        "status": incident.status.value,
        "severity": incident.severity.word,
        "origin": incident.origin.value,
        "services": list(incident.services),
        "opened_at": rfc3339(incident.opened_at),
        "detected_at": rfc3339(incident.detected_at),
        "confirmed_at": rfc3339(incident.confirmed_at),
        "resolved_at": rfc3339(incident.resolved_at),
    }


def document(found: Difference) -> dict[str, Any]:
    """A difference as JSON values."""

    def shifted(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
        return [
            {
                "stored": brief(a),
                "replayed": brief(b),
                "seconds": round(abs((_first(b) - _first(a)).total_seconds())),
            }
            for a, b in pairs
        ]

    return {
        "same": len(found.same),
        "opened": [brief(one) for one in found.opened],
        "missed": [brief(one) for one in found.missed],
        "earlier": shifted(found.earlier),
        "later": shifted(found.later),
        "merged_otherwise": [
            {"stored": [brief(one) for one in a], "replayed": [brief(one) for one in b]}
            for a, b in found.regrouped
        ],
        "changed": [
            {"stored": brief(a), "replayed": brief(b), "fields": list(names)}
            for a, b, names in found.changed
        ],
        "false": {
            "stored": [brief(one) for one in found.false[0]],
            "replayed": [brief(one) for one in found.false[1]],
        },
    }


def sentences(told: Mapping[str, Any]) -> list[str]:
    """A replay's document in words, a line for each incident that came out otherwise."""
    word = "the same policy" if told["same_policy"] else "another policy"
    rows = [f"{told['steps']} steps with {told['signals']} signals folded again under {word}."]
    if told["reproduced"]:
        rows.append("Every event came out byte for byte as it was stored.")
    rows.append(f"{told['same']} incidents were seen at the same time.")
    before, after = (len(told["false"][side]) for side in ("stored", "replayed"))
    rows.append(f"{after} false alarms instead of {before}.")
    rows += [f"opened   {_named(one)}" for one in told["opened"]]
    rows += [f"missed   {_named(one)}" for one in told["missed"]]
    for kind in ("earlier", "later"):
        rows += [f"{kind:8} {one['seconds']} s: {_named(one['stored'])}" for one in told[kind]]
    for one in told["merged_otherwise"]:
        sides = (" + ".join(i["id"] for i in one[side]) for side in ("stored", "replayed"))
        rows.append("regrouped " + " became ".join(sides))
    rows += [
        f"changed  {', '.join(one['fields'])}: {_named(one['stored'])}" for one in told["changed"]
    ]
    return rows + [f"note: {note}" for note in told["notes"]]


def _named(one: Mapping[str, Any]) -> str:
    where = "+".join(one["services"])
    return f"{one['id']} {one['opened_at']} {one['origin']} {where}: {one['title']}"
