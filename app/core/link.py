"""The link: one incident of ours and one ticket of an ITSM, and what may follow what."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from app.core.types import TenantId

# A create whose outcome nobody knows is looked for so long after it; an instance cancels
# transactions at 60 s (default quota rule of its REST API), so the last look is decisive.
RECHECKS = tuple(timedelta(seconds=s) for s in (5, 20, 65, 130))
SECOND_LOOK = timedelta(seconds=120)  # after a create that had an unknown step: is it alone?
FLIPS = 6  # moves of a ticket's state within FLIP_WINDOW; more is a loop of two automatons
FLIP_WINDOW = timedelta(minutes=10)


class LinkState(StrEnum):
    """How a link stands."""

    PENDING = "pending"  # a ticket is wanted: it waits for its debounce, or for the instance
    CREATING = "creating"  # a create is under way, and was written down before it was sent
    CREATE_UNKNOWN = "create_unknown"  # it may have been created: looked for until that is known
    IN_STEP = "in_step"
    HELD = "held"  # the hourly budget of tickets is spent
    AWAITING_HUMAN = "awaiting_human"  # over on our side, and a person works on the ticket
    CONFLICT = "conflict"  # a person closed the ticket while it goes on
    GONE = "gone"  # the ticket was deleted, or hidden from us
    FAILED = "failed"  # refused: something must be set right first
    ENDED = "ended"


class Trigger(StrEnum):
    """What moves a link."""

    FOUND = "found"  # a ticket with our correlation is there
    SENT = "sent"  # a create goes out now
    CREATED = "created"
    LOST = "lost"  # no answer, or none that says what became of it
    UNREACHED = "unreached"  # nothing was done: not reachable, throttled, asleep
    ABSENT = "absent"  # looked for long enough: it was not created
    SPENT = "spent"  # no budget left
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"  # no ticket is wanted any more, and none was made
    SYNCED = "synced"
    HUMAN_CLOSED = "human_closed"
    HUMAN_WORKS = "human_works"
    FLIPPING = "flipping"
    MISSING = "missing"
    FINISHED = "finished"  # over on both sides
    SUPERSEDED = "superseded"  # the next generation takes over
    WANTED = "wanted"  # after it was withdrawn
    REOPENED = "reopened"  # the incident goes on after its link had ended


S, T = LinkState, Trigger
_WAITING = {
    T.FOUND: S.IN_STEP, T.SENT: S.CREATING, T.SPENT: S.HELD, T.REFUSED: S.FAILED,
    T.WITHDRAWN: S.ENDED,
}  # fmt: skip
_LINKED = {
    T.SYNCED: S.IN_STEP, T.HUMAN_CLOSED: S.CONFLICT, T.HUMAN_WORKS: S.AWAITING_HUMAN,
    T.FLIPPING: S.CONFLICT, T.MISSING: S.GONE, T.REFUSED: S.FAILED, T.FINISHED: S.ENDED,
    T.SUPERSEDED: S.ENDED,
}  # fmt: skip

# Everything that may happen; what is not here cannot, and is a bug.
TABLE: Mapping[LinkState, Mapping[Trigger, LinkState]] = {
    S.PENDING: {**_WAITING, T.UNREACHED: S.PENDING},
    S.HELD: {**_WAITING, T.UNREACHED: S.HELD},
    S.CREATING: {
        T.CREATED: S.IN_STEP, T.LOST: S.CREATE_UNKNOWN, T.UNREACHED: S.PENDING,
        T.REFUSED: S.FAILED,
    },
    S.CREATE_UNKNOWN: {
        T.FOUND: S.IN_STEP, T.ABSENT: S.PENDING, T.UNREACHED: S.CREATE_UNKNOWN,
        T.LOST: S.CREATE_UNKNOWN, T.REFUSED: S.FAILED,
    },
    S.IN_STEP: {**_LINKED, T.UNREACHED: S.IN_STEP, T.LOST: S.IN_STEP},
    S.AWAITING_HUMAN: {
        **_LINKED, T.UNREACHED: S.AWAITING_HUMAN, T.LOST: S.AWAITING_HUMAN,
    },
    S.CONFLICT: {
        **_LINKED, T.UNREACHED: S.CONFLICT, T.LOST: S.CONFLICT,
    },
    S.GONE: {
        T.FOUND: S.IN_STEP, T.MISSING: S.GONE, T.UNREACHED: S.GONE, T.REFUSED: S.GONE,
        T.FINISHED: S.ENDED, T.SUPERSEDED: S.ENDED,
    },
    S.FAILED: {
        **_WAITING, **_LINKED, T.UNREACHED: S.FAILED, T.LOST: S.FAILED,
    },
    S.ENDED: {T.REOPENED: S.IN_STEP, T.WANTED: S.PENDING},
}  # fmt: skip


class ImpossibleMove(Exception):  # noqa: N818 - a bug, named as what it is
    """Raised when something happened to a link that cannot happen in its state."""


def moved(state: LinkState, trigger: Trigger) -> LinkState:
    """The state after a trigger.

    Raises:
        ImpossibleMove: the table does not have it.
    """
    after = TABLE[state].get(trigger)
    if after is None:
        raise ImpossibleMove(f"{trigger} cannot happen to a link that is {state}")
    return after


class TicketState(StrEnum):
    """How a ticket stands, in words that every ITSM has."""

    NEW = "new"
    IN_PROGRESS = "in_progress"
    ON_HOLD = "on_hold"
    RESOLVED = "resolved"
    CLOSED = "closed"
    CANCELED = "canceled"
    OTHER = "other"  # a state of the instance's own; it counts as open


ENDED_STATES = frozenset({TicketState.RESOLVED, TicketState.CLOSED, TicketState.CANCELED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a link remembers between steps.

    ``sent`` maps field to the value we wanted, ``wrote`` to what the ticket showed after our write;
    a field that shows something else since was changed by somebody and is no longer ours.
    ``state_wrote`` is the ticket's state after our last write. ``base`` is what was last taken
    over from the ticket (``state``, ``assignee``, ``group``, ``version``). ``told`` is the sequence
    of the last event that the ticket knows; ``notes`` are ids of journal rows that were read.
    ``resolved_for`` and ``noted_for`` are the ends (``resolved_at``) that were written to it.
    """

    sent: dict[str, str] = field(default_factory=dict)
    wrote: dict[str, str] = field(default_factory=dict)
    silenced: tuple[str, ...] = ()
    state_wrote: str = ""
    wrote_at: datetime | None = None
    base: dict[str, str] = field(default_factory=dict)
    told: int = 0
    notes: tuple[str, ...] = ()
    tries: int = 0
    unknown_at: datetime | None = None
    second_look_at: datetime | None = None
    misses: int = 0
    resolved_for: str = ""
    noted_for: str = ""
    conflict_told: bool = False
    flips: tuple[datetime, ...] = ()
    note_unknown: bool = False  # the last note may have arrived or not
    intended: str = ""  # the state that a write is under way to, told before it is sent
    intended_text: str = ""
    intended_for: str = ""
    pictured: str = ""  # the turn of the incident whose picture is in the ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One generation of a ticket for one subject.

    ``incident`` is the incident, or None for a summary of what was held back; ``subject`` names
    either. ``asked_at`` is when a create was sent, which the budget counts.
    """

    id: str
    tenant: TenantId
    mirror: str
    system: str
    subject: str
    incident: str | None
    generation: int
    state: LinkState
    explanation: str
    correlation: str
    created_at: datetime
    due_at: datetime
    number: str | None = None
    remote_id: str | None = None
    url: str | None = None
    remote_state: str | None = None
    asked_at: datetime | None = None
    last_synced_at: datetime | None = None
    memory: Memory = Memory()

    @property
    def is_child(self) -> bool:
        """Whether its ticket belongs under that of its incident."""
        return self.incident is not None and self.subject != self.incident


def correlation_of(prefix: str, subject: str, generation: int) -> str:
    """The name under which a ticket is ours: ``prefix:subject``, from the second on ``#2``."""
    tail = f"#{generation}" if generation > 1 else ""
    return f"{prefix}:{subject}{tail}"


def flipping(flips: tuple[datetime, ...], now: datetime) -> bool:
    """Whether the ticket's state moves to and fro faster than people do."""
    return sum(1 for at in flips if now - at <= FLIP_WINDOW) > FLIPS
