"""Batches: signals of one kind on their way into the log, as values instead of objects."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from hashlib import blake2b
from itertools import compress
from operator import attrgetter
from typing import Any, TypeAlias

from app.core.signal import ClientReport, ProbeResult
from app.core.types import Client, SignalId, SignalKind, Symptom

KEY_BYTES = (
    8  # of a derived id; 64 bits, so that 10 million ids a day meet by chance in 400,000 days
)

# Field names of a row in their order: the fields of the signal as declared, without its id.
REPORT_FIELDS = tuple(field.name for field in fields(ClientReport))[1:]
RESULT_FIELDS = tuple(field.name for field in fields(ProbeResult))[1:]

# What many reports of a batch have in common, in the order of ``Shared``.
SHARED_FIELDS = (
    "service", "client", "symptom", "code", "fine", "http_status", "region", "network", "weight",
)  # fmt: skip
Shared: TypeAlias = tuple[
    str, Client, Symptom, str | None, str | None, int | None, str | None, str | None, float
]

_RESULT_VALUES = attrgetter(*RESULT_FIELDS)
_SHARED_VALUES = attrgetter(*SHARED_FIELDS)
_NETWORK = SHARED_FIELDS.index("network")


@dataclass(frozen=True, slots=True)
class ResultBatch:
    """Probe results as rows.

    ``ids`` holds the derived ids of the rows, eight bytes each. A row is the values of
    ``RESULT_FIELDS``; values that have the field's default may be left off at its end.
    """

    ids: bytes
    rows: list[tuple[Any, ...]]

    @property
    def kind(self) -> SignalKind:
        """The kind of its signals."""
        return SignalKind.PROBE_RESULT

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class ReportBatch:
    """Client reports by column; an object or a row per report would cost more than all else.

    A storm says few things very often: what many reports have in common stands once, in
    ``shared`` under a number, and ``which`` holds the number of each report. ``counts`` is None
    when each report counts once. ``late`` and ``clamped`` are places in the batch. ``ids`` are the
    derived ids, eight bytes each.
    """

    ids: bytes
    shared: dict[int, Shared]
    which: list[int]
    actors: list[str]
    instants: list[datetime]
    arrivals: list[datetime]
    messages: list[str | None]
    counts: list[int] | None = None
    late: Sequence[int] = ()
    clamped: Sequence[int] = ()

    @property
    def kind(self) -> SignalKind:
        """The kind of its signals."""
        return SignalKind.CLIENT_REPORT

    def __len__(self) -> int:
        return len(self.which)

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """The values of ``REPORT_FIELDS`` of each report; for readers of few."""
        late, clamped = set(self.late), set(self.clamped)
        counts = self.counts or [1] * len(self)
        columns = (
            self.which, self.actors, self.instants, self.arrivals, self.messages, counts,
        )  # fmt: skip
        rows = []
        for place, (number, actor, at, arrived, message, count) in enumerate(
            zip(*columns, strict=True)
        ):
            service, client, symptom, code, fine, status, region, network, weight = self.shared[
                number
            ]
            rows.append((
                service, client, symptom, actor, at, arrived, code, fine, status, message,
                region, network, count, weight, place in late, place in clamped,
            ))  # fmt: skip
        return rows

    def voiced(self, owner: bytes, names: Sequence[str]) -> "ReportBatch":
        """The same reports, told by these voices of a key, without networks, with ids of its own.

        Args:
            owner: what makes the ids the key's own, eight bytes.
            names: of the voices; each actor of the batch always gets the same.
        """
        many = len(names)
        # One number as long as all ids: each is changed by the same eight bytes, in one step.
        keys = int.from_bytes(self.ids) ^ int.from_bytes(owner * len(self))
        return ReportBatch(
            keys.to_bytes(len(self.ids)),
            {number: _nowhere(values) for number, values in self.shared.items()},
            self.which,
            [names[int(actor[:8], 16) % many] for actor in self.actors],
            self.instants,
            self.arrivals,
            self.messages,
            self.counts,
            self.late,
            self.clamped,
        )

    def only(self, chosen: Sequence[bool]) -> "ReportBatch":
        """The chosen reports."""
        which = list(compress(self.which, chosen))
        return ReportBatch(
            b"".join(compress(keys_in(self.ids), chosen)),
            {number: self.shared[number] for number in set(which)},
            which,
            list(compress(self.actors, chosen)),
            list(compress(self.instants, chosen)),
            list(compress(self.arrivals, chosen)),
            list(compress(self.messages, chosen)),
            None if self.counts is None else list(compress(self.counts, chosen)),
            _places(self.late, chosen),
            _places(self.clamped, chosen),
        )


Batch: TypeAlias = ReportBatch | ResultBatch


def _nowhere(values: Shared) -> Shared:
    return (*values[:_NETWORK], None, *values[_NETWORK + 1 :])  # type: ignore[return-value]  # the same with one value less


def _places(places: Sequence[int], chosen: Sequence[bool]) -> list[int]:
    """Where marked places stand when only the chosen ones are left."""
    if not places:
        return []
    marked = set(places)
    kept = [place for place, stays in enumerate(chosen) if stays]
    return [new for new, old in enumerate(kept) if old in marked]


def keys_in(ids: bytes) -> list[bytes]:
    """Each of the derived ids that stand one after the other."""
    return [ids[at : at + KEY_BYTES] for at in range(0, len(ids), KEY_BYTES)]


def signal_id(key: bytes) -> SignalId:
    """Write the eight bytes of a derived id as the id of a signal."""
    return SignalId(key.hex())


def key_of(identity: str) -> bytes:
    """The eight bytes for a signal id; an id that is not derived is digested."""
    if len(identity) == KEY_BYTES * 2:
        try:
            return bytes.fromhex(identity)
        except ValueError:
            pass
    return blake2b(identity.encode(), digest_size=KEY_BYTES).digest()


def batch_of_reports(reports: Sequence[ClientReport]) -> ReportBatch:
    """Make a batch of signals that exist as objects."""
    numbers: dict[Shared, int] = {}
    which = [numbers.setdefault(_SHARED_VALUES(one), len(numbers)) for one in reports]
    return ReportBatch(
        b"".join(key_of(one.id) for one in reports),
        {number: values for values, number in numbers.items()},
        which,
        [one.actor for one in reports],
        [one.occurred_at for one in reports],
        [one.received_at for one in reports],
        [one.message for one in reports],
        [one.count for one in reports],
        [place for place, one in enumerate(reports) if one.late],
        [place for place, one in enumerate(reports) if one.clamped],
    )


def batch_of_results(results: Sequence[ProbeResult]) -> ResultBatch:
    """Make a batch of signals that exist as objects."""
    ids = b"".join(key_of(result.id) for result in results)
    return ResultBatch(ids, [_RESULT_VALUES(result) for result in results])
