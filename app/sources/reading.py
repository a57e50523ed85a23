"""The frame that readers of bodies share: a body becomes records, these become a batch."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from app.core.arrival import Arrival, Classify, arrive
from app.core.batch import Batch, keys_in, signal_id
from app.core.errors import InvalidInput, UnsupportedMediaType
from app.core.policy import DEFAULT_POLICY, Policy
from app.core.signal import ClientReport, ProbeResult
from app.core.types import TenantId
from app.kit.wire import BodyRefused, Fault, MediaRefused, RecordReader, Records

R = TypeVar("R", bound=msgspec.Struct)
S = TypeVar("S", ClientReport, ProbeResult)


@dataclass(frozen=True, slots=True)
class Parsed(Generic[S]):
    """What a body held: the good records as a batch, and the refused ones."""

    kind: type[S]
    batch: Batch
    rejected: list[Fault]

    @property
    def good(self) -> list[S]:
        """The good records as objects; for readers of few."""
        names = [field.name for field in fields(self.kind)][1:]
        values = zip(keys_in(self.batch.ids), self.batch.rows, strict=True)
        return [
            self.kind(id=signal_id(key), **dict(zip(names, row, strict=False)))
            for key, row in values
        ]


class BodyReader(ABC, Generic[R, S]):
    """Reads bodies of one kind of record; ``key`` is the secret of this installation's digests."""

    def __init__(
        self, wire: type[R], classify: Classify, *, key: bytes, policy: Policy = DEFAULT_POLICY
    ) -> None:
        self._classify = classify
        self._key = key
        self._policy = policy
        self._records = RecordReader(wire)
        self._encode = msgspec.msgpack.Encoder().encode

    def parse(
        self, tenant: TenantId, body: bytes, content_type: str | None, *, now: datetime
    ) -> Parsed[S]:
        """Read an object, an array or NDJSON that arrived now; bad records are told apart.

        Raises:
            UnsupportedMediaType: the content type is neither JSON nor NDJSON.
            InvalidInput: the body cannot be read as a whole.
        """
        try:
            records = self._records.read(body, content_type)
        except MediaRefused as error:
            raise UnsupportedMediaType(str(error)) from error
        except BodyRefused as error:
            errors = [{"pointer": "", "detail": str(error)}]
            raise InvalidInput(str(error), errors=errors) from error
        return self._translate(tenant, records, arrive(now, self._policy))

    @abstractmethod
    def _translate(self, tenant: TenantId, records: Records[R], arrival: Arrival) -> Parsed[S]:
        """Judge and normalize the records of a body that arrived now."""


def parsed(made: type[S], batch: Batch, rejected: list[Fault]) -> Parsed[S]:
    """Put together what a body held; faults go by their place in it."""
    rejected.sort(key=lambda fault: fault.index)
    return Parsed(made, batch, rejected)
