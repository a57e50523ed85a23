"""Independence: which channels an incident touches, and by which way a message goes instead.

A channel names the services that it depends on; the catalogue adds what these depend on in turn.
A message must never rely only on what is down.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.core.catalogue import depends_on, is_known
from app.core.incident import Incident
from app.core.message import Mark
from app.core.types import OPEN_STATUSES


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A channel or mirror as far as its independence goes; slugs in ``depends_on``."""

    name: str
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Impaired:
    """Why a way is not to be relied on.

    ``service`` is the one that an incident touches; ``through`` the chain from what the way names
    to it, empty when the way names it itself. ``incidents`` are numbers of the incidents.
    """

    name: str
    service: str
    through: tuple[str, ...] = ()
    incidents: tuple[str, ...] = ()

    @property
    def direct(self) -> bool:
        """Whether the way itself names the service; else it may work all the same."""
        return not self.through


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Which ways a message takes now.

    ``send_on`` are names in order. ``skipped`` are impaired ones before the first that is not;
    they are to get the message once they are well again. ``doubtful`` ways are impaired only
    through the catalogue: they are used, but not relied on. ``independent`` says that at least one
    way used is touched by no open incident. ``marks`` say all that to the reader.
    """

    send_on: tuple[str, ...]
    skipped: tuple[Impaired, ...] = ()
    doubtful: tuple[Impaired, ...] = ()
    independent: bool = True
    marks: tuple[Mark, ...] = ()


def needs(slugs: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Everything that must work: slug → the shortest chain that leads to it, empty for its own."""
    chains: dict[str, tuple[str, ...]] = dict.fromkeys(sorted(slugs), ())
    frontier = list(chains)
    while frontier:
        following = []
        for slug in frontier:
            for below in depends_on(slug):
                if below not in chains:
                    chains[below] = (*chains[slug], slug)
                    following.append(below)
        frontier = following
    return chains


def impairment(way: Way, incidents: Sequence[Incident]) -> Impaired | None:
    """Say why a way is not to be relied on while these incidents are open; None: it is."""
    touched: dict[str, list[str]] = {}
    for incident in incidents:
        if incident.status in OPEN_STATUSES:
            for service in incident.services:
                touched.setdefault(service, []).append(incident.number)
    chains = needs(way.depends_on)
    hit = sorted((len(chains[s]), s) for s in touched if s in chains)
    if not hit:
        return None
    service = hit[0][1]
    numbers = tuple(sorted(touched[service]))
    return Impaired(name=way.name, service=service, through=chains[service], incidents=numbers)


def choose(plan: Sequence[Way], incidents: Sequence[Incident]) -> Route:
    """Choose the ways of a message: the first of the plan that no open incident touches.

    A way that an incident touches only through the catalogue is used as well, since it may work,
    but never alone. When every way is touched, all are used: better than silence, and marked.
    """
    skipped: list[Impaired] = []
    doubtful: list[Impaired] = []
    for way in plan:
        found = impairment(way, incidents)
        if found is None:
            used = (*(d.name for d in doubtful), way.name)
            order = tuple(w.name for w in plan if w.name in used)
            return _routed(order, skipped, doubtful, instead=way.name)
        (skipped if found.direct else doubtful).append(found)
    everything = tuple(way.name for way in plan)
    return _routed(everything, skipped, doubtful, instead=None)


def _routed(
    send_on: tuple[str, ...],
    skipped: Sequence[Impaired],
    doubtful: Sequence[Impaired],
    *,
    instead: str | None,
) -> Route:
    word = "all_impaired" if instead is None else "instead"
    marks = tuple(
        Mark(
            word=word if found.direct or instead is None else "doubtful",
            facts={"channel": found.name, "service": found.service, "instead": instead or ""},
        )
        for found in (*skipped, *doubtful)
    )
    return Route(
        send_on=send_on,
        skipped=() if instead is None else tuple(skipped),
        doubtful=tuple(doubtful),
        independent=instead is not None,
        marks=marks,
    )


def to_repeat(
    skipped: Iterable[str], plan: Sequence[Way], incidents: Sequence[Incident]
) -> tuple[str, ...]:
    """Of the ways that were skipped: those that are well again, so that the message follows."""
    wanted = set(skipped)
    return tuple(
        way.name for way in plan if way.name in wanted and impairment(way, incidents) is None
    )


def repeated_mark(channel: str, instead: str) -> Mark:
    """The remark of a message that follows on a way that was impaired when it was due."""
    return Mark(word="repeated", facts={"channel": channel, "service": "", "instead": instead})


def shared_needs(plan: Sequence[Way]) -> tuple[str, ...]:
    """Services of the catalogue whose fault would silence every way of a plan; sorted.

    Empty is what one wants: whatever one service does, some way is left.
    """
    if not plan:
        return ()
    common = set(needs(plan[0].depends_on))
    for way in plan[1:]:
        common &= set(needs(way.depends_on))
    return tuple(sorted(slug for slug in common if is_known(slug)))
