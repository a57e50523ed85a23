"""Voices: who reported a service in an epoch, laid out by minute and network."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from app.core.state import ACTOR_CAP, Cell, Epoch

LOOK_BACK = 6  # epochs in which an actor who spoke before is not counted as new
MARK_SPAN = float(1 << 56)  # marks lie evenly in this span
MS = 60_000


class Said(NamedTuple):
    """The first report of one actor in one epoch. ``fresh``: not heard in the epochs before."""

    mark: int
    network: str
    fresh: bool
    scale: float
    cell: str


Spoken = dict[int, list[Said]]  # minute -> who spoke


@dataclass(slots=True)
class Laid:
    """An epoch laid out, with the epochs that it was made of."""

    of: tuple[Epoch | None, ...]
    spoken: Spoken
    places: dict[str, Spoken] | None = None  # the same by network, once it is asked for

    def at(self, network: str) -> Spoken:
        """What was said from one network."""
        if self.places is None:
            self.places = {}
            for minute, said in self.spoken.items():
                for one in said:
                    self.places.setdefault(one.network, {}).setdefault(minute, []).append(one)
        return self.places.get(network, {})


def scale_of(epoch: Epoch) -> float:
    """How many actors each kept one stands for (bottom-k estimate)."""
    if len(epoch) < ACTOR_CAP:
        return 1.0
    return max(1.0, (ACTOR_CAP - 1) / (max(epoch) / MARK_SPAN) / ACTOR_CAP)


def distinct(marks: Iterable[int], cap: int) -> int:
    """How many distinct actors stand behind marks of which at most the smallest were kept."""
    found = sorted(marks)
    if len(found) < cap:
        return len(found)
    return round((cap - 1) / (found[cap - 1] / MARK_SPAN))


def lay_out(of: tuple[Epoch | None, ...], cells: Mapping[str, Cell]) -> Spoken:
    """Lay the newest of some epochs out; whom the others know is not fresh."""
    own = of[-1]
    if not own:
        return {}
    before: set[int] = set().union(*(epoch for epoch in of[:-1] if epoch))
    scale = scale_of(own)
    spoken: Spoken = {}
    for mark, (ms, key) in own.items():
        cell = cells.get(key)
        network = (cell.location or "") if cell is not None else ""
        said = Said(mark, network, mark not in before, scale, key)
        minute = ms // MS
        if minute in spoken:
            spoken[minute].append(said)
        else:
            spoken[minute] = [said]
    return spoken
