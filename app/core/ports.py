"""Protocols through which flow meets the adapters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from app.core.announce import (
    Audience,
    ChannelFacts,
    Message,
    Notice,
    NoticePhase,
    Verdict,
)
from app.core.events import Event
from app.core.incident import Incident
from app.core.message import Mark, Reader, Written
from app.core.signal import Advisory, ProbeResult
from app.core.ticket import Change, Row, Rule, Ticket
from app.core.types import IncidentId, Severity, TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A wire body: the bytes and their media type."""

    content: bytes
    media_type: str


class Render(Protocol):
    """Makes the stored bytes of an event: the native v1 document, frozen when it is emitted."""

    def __call__(self, event: Event) -> bytes:
        """Render one event as UTF-8 JSON of at most 20 kB."""
        ...


class Format(Protocol):
    """A wire format of events, made from the stored native v1 document alone."""

    name: str

    def encode(self, document: bytes, *, detail: str) -> Body:
        """Encode a stored event; ``detail`` is ``full`` or ``thin``. Same input, same bytes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOutcome:
    """What one attempt met. ``status`` is absent when no answer came.

    ``outcome`` is one of delivered, refused, timeout, connection_failed, tls_failure, dns_failure,
    blocked, gone, unknown. ``retry_after`` is what the receiver asked for. ``excerpt`` is text of
    at most 1 KiB. ``phases`` maps phase (``dns_ms``, ``connect_ms``, ``tls_ms``,
    ``first_byte_ms``, ``body_ms``) to milliseconds, as far as it came. ``sent`` are the request's
    headers. ``wish`` is what the receiver asked for beside: ``disable``, ``abort-message`` or "".
    """

    outcome: str
    status: int | None = None
    retry_after: timedelta | None = None
    duration_ms: float = 0.0
    excerpt: str = ""
    detail: str = ""
    wish: str = ""
    phases: Mapping[str, float] = field(default_factory=dict)
    sent: Mapping[str, str] = field(default_factory=dict)


class MessageWriter(Protocol):
    """Words an incident for people; the same input gives the same message."""

    languages: tuple[str, ...]

    def write(
        self,
        incident: Incident,
        reader: Reader,
        *,
        audience: Audience,
        language: str,
        phase: NoticePhase | None = None,
        evidence: Mapping[str, Any] | None = None,
        next_update_at: datetime | None = None,
        marks: Sequence[Mark] = (),
    ) -> Written:
        """Write one message; without a phase that of the incident's status.

        Raises:
            KeyError: there is no such language.
        """
        ...

    def remark(self, mark: Mark, language: str) -> str:
        """The sentence of a mark; a language that is not there gives the first that is."""
        ...


class IncidentPictures(Protocol):
    """Draws the three lanes of an incident as they are known now, for messages and tickets."""

    async def draw(
        self, tenant: TenantId, incident: IncidentId, form: str, *, outside: bool = False
    ) -> bytes | None:
        """Draw a file, ``form`` is svg or png; None where there is no such incident.

        ``outside``: the reader is not of the tenant, and sees no group under five people.
        """
        ...


class Sender(Protocol):
    """A sink that sends one event once and says what it met; it raises only for a bug."""

    async def send(
        self,
        url: str,
        body: Body,
        *,
        webhook_id: str,
        secrets: Sequence[str],
        now: datetime,
        headers: dict[str, str],
    ) -> AttemptOutcome:
        """Make one attempt."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvisoryRead:
    """One complete read of an advisory source.

    ``complete`` is True when every open advisory was listed, so that absence means something;
    ``full`` when resolved ones were listed as well. ``raw`` maps vendor id to its JSON bytes.
    ``unknown_values`` lists (field, value) pairs that we have no meaning for. ``unreadable`` counts
    records that could not be translated; ``unreadable_why`` names some of them with the reason.
    """

    advisories: tuple[Advisory, ...]
    raw: dict[str, bytes]
    complete: bool
    full: bool
    unknown_values: tuple[tuple[str, str], ...] = ()
    unreadable: int = 0
    unreadable_why: tuple[tuple[str, str], ...] = ()


class AdvisorySource(Protocol):
    """A source of advisories that is read on a period."""

    name: str

    def owns(self, vendor_id: str) -> bool:
        """Whether it is this source that serves an advisory of that id."""
        ...

    async def read(self, *, known_open: Sequence[str], full: bool, now: datetime) -> AdvisoryRead:
        """Read once, completely or not at all.

        Raises:
            SourceUnreadable: the read did not complete.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRead:
    """What a public page said: results of a check, and in words for people."""

    results: tuple[ProbeResult, ...]
    said: tuple[str, ...] = ()


class StatusFeed(Protocol):
    """A public page of the vendor that is read on a period."""

    name: str
    title: str

    async def read(self, *, tenant: TenantId, now: datetime) -> FeedRead:
        """Read once.

        Raises:
            SourceUnreadable: the page did not answer as it is known to.
        """
        ...


class SourceUnreadable(Exception):  # noqa: N818 - a word of the field, like StopIteration
    """A source could not be read; ``code`` is stable, ``remedy`` says what to do."""

    def __init__(
        self, code: str, text: str, *, remedy: str = "", retry_after: timedelta | None = None
    ) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.remedy = remedy
        self.retry_after = retry_after


class ProbeCheck(Protocol):
    """One configured check that can be run."""

    name: str
    location: str
    interval: timedelta

    async def run(self, *, now: datetime, location_sound: bool | None) -> ProbeResult:
        """Run the check once; a failure is a result, never an exception."""
        ...


class PostVerdict(StrEnum):
    """What became of a batch that was handed to another Sextant."""

    TAKEN = "taken"  # durable there, but for those that were rejected
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"  # refused as a whole, and would be again
    LATER = "later"  # unreachable, overloaded, or the key is not accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """The verdict on a batch; ``rejected`` holds (index, why) of records that were refused."""

    verdict: PostVerdict
    detail: str = ""
    rejected: tuple[tuple[int, str], ...] = ()
    retry_after: timedelta | None = None


class Upstream(Protocol):
    """Where an agent hands its results over."""

    async def post(self, lines: Sequence[bytes]) -> Posted:
        """Hand over lines of probe results; returns when they are durable there, or why not."""
        ...


class MirrorWord(StrEnum):
    """What a call to an ITSM met."""

    DONE = "done"
    ABSENT = "absent"  # there is no such record, or none that we may see
    UNKNOWN = "unknown"  # a write that may have been done or not
    UNREACHED = "unreached"  # certainly nothing was done; try again later
    REFUSED = "refused"  # and would be again


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorAnswer:
    """The answer of an ITSM; ``why`` and ``remedy`` are sentences for people."""

    word: MirrorWord
    tickets: tuple[Ticket, ...] = ()
    rows: tuple[Row, ...] = ()
    cursor: str = ""
    why: str = ""
    remedy: str = ""
    retry_after: timedelta | None = None


class Mirror(Protocol):
    """A sink that keeps a remote ticket in step; it raises only for a bug."""

    name: str
    system: str
    rules: Mapping[str, Rule]

    def fields(self, incident: Incident, *, url: str) -> Mapping[str, str]:
        """What the ticket of an incident is to hold, by the ITSM's own names."""
        ...

    async def find(self, correlation: str) -> MirrorAnswer:
        """Look up by our name for it; all that there are, oldest first."""
        ...

    async def create(self, correlation: str, fields: Mapping[str, str], note: str) -> MirrorAnswer:
        """Create, with a first note."""
        ...

    async def read(self, remote_id: str) -> MirrorAnswer:
        """Read one."""
        ...

    async def change(self, remote_id: str, change: Change) -> MirrorAnswer:
        """Write once."""
        ...

    async def changed(self, cursor: str) -> MirrorAnswer:
        """Tickets of ours that changed since a cursor, some perhaps again."""
        ...

    async def journal(self, remote_id: str) -> MirrorAnswer:
        """Entries of a ticket's journal, oldest first."""
        ...

    async def attach(self, remote_id: str, name: str, content: bytes) -> MirrorAnswer:
        """Put a PNG into a ticket, in place of ours of that name."""
        ...


class AlarmDoor(Protocol):
    """A platform that is told how an incident stands, and dedups by key; raises only for a bug."""

    name: str
    system: str

    async def tell(self, incident: Incident, key: str, *, url: str, now: datetime) -> MirrorAnswer:
        """Tell once; a repetition changes nothing there."""
        ...


class Say(Protocol):
    """Words a notice for a channel."""

    def __call__(self, notice: Notice, channel: ChannelFacts) -> Message:
        """Word it; the same input gives the same message."""
        ...


class Choose(Protocol):
    """Chooses which channels of a tenant are used now."""

    def __call__(
        self, incident: Incident, living: Sequence[Incident], plan: Sequence[ChannelFacts]
    ) -> Mapping[str, Verdict]:
        """Give a verdict by channel name; one without a verdict is used."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """One thing to tell on one channel.

    ``key`` is the same at each repetition of this telling, ``thread`` for all of one incident,
    whose first subject is the ``topic``.
    ``record`` is what the first left on the other side, empty before. ``asked_at`` is when it was
    first sent, where that was before. ``last_phase`` and ``last_severity`` were told before.
    ``picture`` is a PNG, empty for none; a telling is whole without it.
    """

    key: str
    thread: str
    topic: str
    record: str
    notice: Notice
    message: Message
    asked_at: datetime | None = None
    last_phase: str = ""
    last_severity: Severity = Severity.UNKNOWN
    picture: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelAnswer:
    """What a telling met; ``record`` names what is there now, ``why`` and ``remedy`` are sentences.

    Word ``absent``: what should be changed is not there any more.
    """

    word: MirrorWord
    record: str = ""
    number: str = ""
    url: str = ""
    why: str = ""
    remedy: str = ""
    retry_after: timedelta | None = None


class Channel(Protocol):
    """A sink that tells people; it raises only for a bug."""

    name: str
    kind: str
    pictures: bool  # whether it has a place for one

    async def tell(self, telling: Telling) -> ChannelAnswer:
        """Tell it, or tell it again; a first one makes the record, a later one changes it."""
        ...

    async def heard(self, telling: Telling) -> ChannelAnswer:
        """Look whether a telling arrived: done, absent, or unknown where nobody can look.

        Absent is also the answer where the other side knows a repetition by its key, so that it
        shows nowhere.
        """
        ...

    async def try_out(self, telling: Telling) -> ChannelAnswer:
        """Show that the channel works, disturbing as few people as can be."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
