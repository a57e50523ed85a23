"""What comes back on a channel: people at its other end answer by what they do there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What came back on a channel; ``name`` is a command, empty for nothing to do.

    ``id`` is the same at each repetition. ``thread`` is ours for the incident, where it was said,
    ``remote_id`` and ``url`` what it is called there.
    """

    id: str
    thread: str
    remote_id: str
    url: str
    name: str
    body: Mapping[str, object]


class Returns(Protocol):
    """Reads what comes back on a channel."""

    def read(self, headers: Mapping[str, str], body: bytes) -> Sequence[Returned]:
        """Check and read one delivery; nothing where it says nothing to us.

        Raises:
            Unauthenticated: it is not signed by the other side.
        """
        ...
