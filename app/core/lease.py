"""Leases: which recurring work a replica keeps, gives back and takes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from math import ceil

FOLD, GRAPH, STATUS, PROBES = "fold", "graph", "status", "probes"
# Every kind of work there is; a metric's label is closed by it.
KINDS = (
    FOLD, GRAPH, STATUS, PROBES, "mirror", "events", "channel",
    "upkeep", "retention", "standing", "invariants",
)  # fmt: skip
PROBE_RUNNER = "probe:runner"  # the source that tells that our own probes run


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Who holds one piece of work, under which token, and whether that replica still beats."""

    owner: str
    token: int
    alive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a replica does now: names to give back, and free names to take, each sorted."""

    give: tuple[str, ...]
    take: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Which replica does one piece of work, since when, and whether it still beats."""

    replica: str
    since: datetime
    alive: bool


def lease_of(source: str, tenant: str) -> str:
    """The name of the work that reads a source of a tenant."""
    return f"{PROBES if source == PROBE_RUNNER else source}:{tenant}"


def kind_of(name: str) -> str:
    """The kind of work that a name belongs to: ``graph:contoso`` is of kind ``graph``."""
    return name.partition(":")[0]


def turn_of(
    wanted: Collection[str], held: Mapping[str, Standing], *, me: str, replicas: int
) -> Turn:
    """Share each kind of work out evenly, with as little moving as may be.

    A replica takes what is free up to its share of the kind, and gives back what it has above it.
    The shares add up to at least all there is, so nothing stays free while a replica beats.

    Args:
        wanted: the work that there is for this replica.
        held: who holds what; work that nobody ever held is absent.
        me: the replica that asks.
        replicas: how many beat now, this one among them.
    """
    give = [n for n, s in held.items() if s.owner == me and n not in wanted]
    take: list[str] = []
    for _, same in groupby(sorted(wanted, key=lambda n: (kind_of(n), n)), key=kind_of):
        names = list(same)
        share = ceil(len(names) / max(replicas, 1))
        mine = [n for n in names if n in held and held[n].owner == me]
        give += mine[share:]
        free = [n for n in names if n not in held or not held[n].alive]
        take += [n for n in free if n not in mine][: max(share - len(mine), 0)]
    return Turn(give=tuple(sorted(give)), take=tuple(sorted(take)))
