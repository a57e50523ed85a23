"""What the outside saw: what clients asked and were told, what receivers and readers were sent.

The logs are written by the harness while it runs and read by the checker afterwards. Nothing
here knows how Sextant keeps its own books.
"""

import time
from dataclasses import dataclass, field
from enum import StrEnum


class Phase(StrEnum):
    """A request begins with an invoke; what is neither answered nor refused is info: unknown."""

    INVOKE = "invoke"
    OK = "ok"
    FAIL = "fail"
    INFO = "info"


class Door(StrEnum):
    """Where a request went."""

    REPORTS = "client-reports"
    RESULTS = "probe-results"
    COMMANDS = "commands"
    SETTINGS = "settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One step of one request. ``marks`` name each signal within it; ``life`` counts restarts.

    ``at`` is of a clock that only goes forward, in seconds.
    """

    client: str
    request: int
    phase: Phase
    door: Door
    tenant: str
    marks: tuple[str, ...]
    life: int
    status: int | None = None
    accepted: int = 0
    duplicates: int = 0
    at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One delivery attempt as the receiver saw it; ``status`` None: it hung up without an answer.

    The order of the log is the order in which the receiver had done with them. ``digest`` is of
    the body's bytes, ``content`` of what the event says, whatever its format; ``genuine`` says
    whether the signature fits. ``delivery`` and ``replay`` are the ids in its headers.
    """

    subscription: str
    webhook_id: str
    type: str
    tenant: str
    sequence: int
    incident: str | None
    revision: int | None
    digest: str
    status: int | None
    genuine: bool = True
    superseded: tuple[str, ...] = ()
    life: int = 0
    content: str = ""
    delivery: str = ""
    replay: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the receiver said that it has it."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event as a reader of the feed got it, in its order; ``content`` as of ``Heard``."""

    reader: str
    tenant: str
    sequence: int
    id: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A replay that was acknowledged: what is ``missing``, or ``all`` of a window."""

    replay: str
    subscription: str
    select: str


@dataclass(slots=True)
class History:
    """The logs of one run, each in the order in which things happened."""

    acts: list[Act] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    life: int = 0

    def note(
        self,
        client: str,
        request: int,
        phase: Phase,
        *,
        door: Door,
        tenant: str,
        marks: tuple[str, ...],
        status: int | None = None,
        accepted: int = 0,
        duplicates: int = 0,
    ) -> None:
        """Append one step of a request."""
        self.acts.append(
            Act(
                client=client, request=request, phase=phase, door=door, tenant=tenant,
                marks=marks, life=self.life, status=status, accepted=accepted,
                duplicates=duplicates, at=time.monotonic(),
            )
        )  # fmt: skip

    def acknowledged(self) -> int:
        """How many signals were acknowledged so far."""
        return sum(len(act.marks) for act in self.acts if act.phase is Phase.OK)
