"""The closed words of the model: ids, enums and scales that every room shares."""

from enum import IntEnum, StrEnum
from typing import NewType

TenantId = NewType("TenantId", str)
IncidentId = NewType("IncidentId", str)
EventId = NewType("EventId", str)
SignalId = NewType("SignalId", str)


class Condition(StrEnum):
    """What one signal says of its scope; unknown is never healthy."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    FAILING = "failing"
    UNKNOWN = "unknown"


class Symptom(StrEnum):
    """What went wrong, as a closed and versioned list."""

    HTTP_5XX = "http_5xx"
    TIMEOUT = "timeout"
    CONNECTION_FAILED = "connection_failed"
    DNS_FAILURE = "dns_failure"
    TLS_FAILURE = "tls_failure"
    AUTH_LOOP = "auth_loop"
    AUTH_REJECTED = "auth_rejected"
    THROTTLED = "throttled"
    SLOW = "slow"
    MAIL_DELAYED = "mail_delayed"
    MAIL_REJECTED = "mail_rejected"
    SYNC_FAILED = "sync_failed"
    NOT_FOUND = "not_found"
    CONTENT_ERROR = "content_error"
    DATA_STALE = "data_stale"
    OTHER = "other"


class Client(StrEnum):
    """The kind of program a user or a probe stands for."""

    OUTLOOK_DESKTOP = "outlook_desktop"
    OUTLOOK_WEB = "outlook_web"
    OUTLOOK_MOBILE = "outlook_mobile"
    ACTIVESYNC = "activesync"
    IMAP_POP = "imap_pop"
    EWS = "ews"
    MAPI = "mapi"
    GRAPH_API = "graph_api"
    TEAMS_DESKTOP = "teams_desktop"
    TEAMS_WEB = "teams_web"
    TEAMS_MOBILE = "teams_mobile"
    BROWSER = "browser"
    OTHER = "other"


class SignalKind(StrEnum):
    """The kinds of record in the intake log."""

    CLIENT_REPORT = "client_report"
    PROBE_RESULT = "probe_result"
    ADVISORY = "advisory"
    COMMAND = "command"


class SourceKind(StrEnum):
    """The three sightings, as evidence names them."""

    ADVISORY = "advisory"
    PROBE = "probe"
    CLIENT_REPORT = "client_report"


class Outcome(StrEnum):
    """What one probe met."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"
    UNKNOWN = "unknown"


class SelfCheck(StrEnum):
    """Whether the probe's location itself was sound when it measured."""

    OK = "ok"
    FAILED = "failed"
    NONE = "none"


class Severity(IntEnum):
    """How bad it is for one who is affected; ordered. On the wire: the lower-case name."""

    UNKNOWN = 0
    INFO = 1
    WARNING = 2
    MINOR = 3
    MAJOR = 4
    CRITICAL = 5

    @property
    def word(self) -> str:
        """The name on the wire."""
        return self.name.lower()


def severity_of(word: str) -> Severity:
    """Read a severity from the wire.

    Raises:
        KeyError: the word is not on the scale.
    """
    return Severity[word.upper()]


class ImpactLevel(StrEnum):
    """How many are affected."""

    NONE = "none"
    SINGLE = "single"
    SOME = "some"
    MANY = "many"
    ALL = "all"
    UNKNOWN = "unknown"


class Origin(StrEnum):
    """Whose fault it is."""

    VENDOR = "vendor"
    LOCAL = "local"
    IDENTITY = "identity"
    THIRD_PARTY = "third_party"
    UNKNOWN = "unknown"


class Status(StrEnum):
    """The lifecycle word of an incident."""

    SUSPECTED = "suspected"
    CONFIRMED = "confirmed"
    MITIGATING = "mitigating"
    MONITORING = "monitoring"
    RESOLVED = "resolved"
    CLOSED = "closed"
    DISMISSED = "dismissed"
    MERGED = "merged"


OPEN_STATUSES = frozenset(
    {Status.SUSPECTED, Status.CONFIRMED, Status.MITIGATING, Status.MONITORING}
)


class Disagreement(StrEnum):
    """Where the vendor's word and our own evidence part."""

    NONE = "none"
    VENDOR_SILENT = "vendor_silent"
    VENDOR_AHEAD = "vendor_ahead"
    VENDOR_BEHIND = "vendor_behind"


class Resolution(StrEnum):
    """How an incident ended."""

    VENDOR_FIX = "vendor_fix"
    ROLLBACK = "rollback"
    SELF_RESTORED = "self_restored"
    CUSTOMER_FIX = "customer_fix"
    FALSE_POSITIVE = "false_positive"
    DUPLICATE = "duplicate"
    NOT_OURS = "not_ours"
    UNKNOWN = "unknown"


class ActorKind(StrEnum):
    """Who made an event happen."""

    ENGINE = "engine"
    PERSON = "person"
    SOURCE = "source"
    MIRROR = "mirror"


class SourceState(StrEnum):
    """How well a source can be read now."""

    FRESH = "fresh"
    STALE = "stale"
    FAILING = "failing"
    NEVER_READ = "never_read"
