"""Batches: signals of one kind on their way into the log, as rows instead of objects."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b
from operator import attrgetter
from typing import Any

from app.core.signal import ClientReport, ProbeResult
from app.core.types import SignalId, SignalKind

KEY_BYTES = (
    8  # of a derived id; 64 bits, so that 10 million ids a day meet by chance in 400,000 days
)

# Field names of a row in their order: the fields of the signal as declared, without its id.
REPORT_FIELDS = tuple(field.name for field in fields(ClientReport))[1:]
RESULT_FIELDS = tuple(field.name for field in fields(ProbeResult))[1:]

_REPORT_VALUES = attrgetter(*REPORT_FIELDS)
_RESULT_VALUES = attrgetter(*RESULT_FIELDS)


@dataclass(frozen=True, slots=True)
class Batch:
    """Client reports or probe results as rows; an object per report would cost more than all else.

    ``ids`` holds the derived id of each row, eight bytes. A row is the values of ``REPORT_FIELDS``
    or ``RESULT_FIELDS``; values that have the field's default may be left off at its end.
    """

    kind: SignalKind
    ids: list[bytes]
    rows: list[tuple[Any, ...]]


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


def batch_of_reports(reports: Sequence[ClientReport]) -> Batch:
    """Make a batch of signals that exist as objects."""
    ids = [key_of(report.id) for report in reports]
    return Batch(SignalKind.CLIENT_REPORT, ids, [_REPORT_VALUES(report) for report in reports])


def batch_of_results(results: Sequence[ProbeResult]) -> Batch:
    """Make a batch of signals that exist as objects."""
    ids = [key_of(result.id) for result in results]
    return Batch(SignalKind.PROBE_RESULT, ids, [_RESULT_VALUES(result) for result in results])
