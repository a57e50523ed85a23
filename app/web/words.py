"""Wire words as people read them."""

from app.core.catalogue import SERVICES

STATUS = {
    "suspected": "Suspected",
    "confirmed": "Confirmed",
    "mitigating": "Mitigating",
    "monitoring": "Monitoring",
    "resolved": "Resolved",
    "closed": "Closed",
    "dismissed": "Dismissed",
    "merged": "Merged",
}
CONDITION = {
    "healthy": "Healthy",
    "degraded": "Degraded",
    "failing": "Failing",
    "unknown": "Unknown",
}
SYMPTOM = {
    "http_5xx": "HTTP 5xx",
    "timeout": "timeout",
    "connection_failed": "connection failed",
    "dns_failure": "DNS failure",
    "tls_failure": "TLS failure",
    "auth_loop": "sign-in loop",
    "auth_rejected": "sign-in rejected",
    "throttled": "throttled",
    "slow": "slow",
    "mail_delayed": "mail delayed",
    "mail_rejected": "mail rejected",
    "sync_failed": "sync failed",
    "not_found": "not found",
    "content_error": "wrong content",
    "data_stale": "stale data",
    "other": "other",
}
CLIENT = {
    "outlook_desktop": "Outlook desktop",
    "outlook_web": "Outlook on the web",
    "outlook_mobile": "Outlook mobile",
    "activesync": "ActiveSync",
    "imap_pop": "IMAP/POP",
    "ews": "EWS",
    "mapi": "MAPI",
    "graph_api": "Graph API",
    "teams_desktop": "Teams desktop",
    "teams_web": "Teams on the web",
    "teams_mobile": "Teams mobile",
    "browser": "Browser",
    "other": "Other program",
}
SOURCE = {
    "advisory": "Microsoft",
    "probe": "Probes",
    "client_report": "Users",
    "engine": "Engine",
    "person": "Person",
}
ORIGIN = {
    "vendor": "Microsoft",
    "local": "Local: site, network or device",
    "identity": "Identity: sign-in of this tenant",
    "third_party": "Third party on the path",
    "unknown": "Not yet known",
}
IMPACT = {
    "none": "nobody seen affected",
    "single": "one person",
    "some": "some people",
    "many": "many people",
    "all": "everyone",
    "unknown": "extent unknown",
}
DISAGREEMENT = {
    "vendor_silent": (
        "Microsoft is silent",
        "Our own evidence shows a fault, and Microsoft has published nothing about it.",
    ),
    "vendor_ahead": (
        "Microsoft says fixed, we still see it fail",
        "The incident stays open until our own evidence turns.",
    ),
    "vendor_behind": (
        "We see it well, Microsoft still says open",
        "Our own evidence has turned. The advisory has not been closed yet.",
    ),
}
STATUS_REASON = {
    "quorum": "independent groups of our own evidence agree.",
    "below_quorum": "our own evidence is unusual, but independent groups do not agree yet.",
    "evidence_turning": "our own evidence is turning; the quiet period is running.",
    "evidence_quiet": "our own evidence was clean for the whole quiet period.",
    "timeout_low_evidence": "nothing bad was seen for long, though little was seen at all.",
    "vendor_withdrew": "Microsoft calls it a false alarm.",
    "relapse": "it came back before it was over.",
    "vendor_reported": "Microsoft reports it.",
    "primed": "Microsoft already had it open when we first read.",
    "vendor_mitigating": "Microsoft says that a fix is under way.",
    "vendor_verifying": "Microsoft is checking that its fix holds.",
    "vendor_resolved": "Microsoft says that it is over.",
    "person_opened": "opened by a person.",
    "person_resolved": "resolved by a person.",
    "person_reopened": "reopened by a person.",
    "person_dismissed": "dismissed by a person.",
    "evidence_withdrawn": "what spoke for it was withdrawn.",
    "same_fault": "another incident tells of the same fault.",
}
RESOLUTION = {
    "vendor_fix": "fixed by Microsoft",
    "rollback": "change rolled back",
    "self_restored": "restored by itself",
    "customer_fix": "fixed by us",
    "false_positive": "false positive",
    "duplicate": "duplicate",
    "not_ours": "not ours",
    "unknown": "cause of recovery unknown",
}
# How a person may say that it ended; duplicates and false positives are dismissed or merged.
BY_HAND = ("vendor_fix", "rollback", "self_restored", "customer_fix", "unknown")
DISMISSALS = ("false_positive", "duplicate", "not_ours")
SEVERITIES = ("critical", "major", "minor", "warning", "info")  # as a person may set them
DONE = {  # said once after a command
    "acknowledge": "Acknowledged by {name}.",
    "assign": "The assignee has been changed.",
    "notes": "The note has been added.",
    "severity": "The severity has been changed.",
    "resolve": "Resolved by hand. It stays resolved until somebody reopens it.",
    "reopen": "Reopened.",
    "dismiss": "Dismissed.",
    "merge": "Merged. The other incident goes on.",
    "split": "Split. The chosen evidence is an incident of its own now.",
    "pin": "The ruling holds: the engine will not change it.",
    "undo": "Undone. It stays undone.",
    "announce": "Let out. Channels that wait for a person send it now.",
    "unpin": "The ruling was taken back: the engine decides again.",
}
DELIVERY_STATE = {"pending": "Waiting", "delivered": "Delivered", "parked": "Parked"}
DELIVERY_REASON = {
    "queued": "queued",
    "accepted": "accepted",
    "redirected": "answered with a redirect",
    "rejected": "refused",
    "unauthorized": "refused: not authorized",
    "overloaded": "the receiver is overloaded",
    "unreachable": "not reached",
    "unknown_outcome": "no answer: outcome unknown",
    "gone": "the receiver is gone (410)",
    "blocked": "the address is not permitted",
    "exhausted": "every attempt of the schedule failed",
    "superseded": "a newer event stands for it",
    "event_expired": "the event is no longer kept",
    "subscription_disabled": "the subscription is disabled",
    "subscription_deleted": "the subscription was deleted",
    "replay_cancelled": "the replay was cancelled",
}
LINK_STATE = {
    "pending": "Waiting",
    "creating": "Being created",
    "create_unknown": "Perhaps created",
    "in_step": "In step",
    "held": "Held: hourly budget spent",
    "awaiting_human": "Waits for a person",
    "conflict": "Conflict",
    "gone": "Gone",
    "failed": "Failed",
    "ended": "Ended",
}
SUBSCRIPTION_STATE = {
    "unverified": "Unverified",
    "active": "Active",
    "failing": "Failing",
    "disabled": "Disabled",
}
ATTEMPT = {
    "delivered": "Delivered",
    "refused": "Refused",
    "gone": "Gone",
    "timeout": "Timeout",
    "connection_failed": "Connection failed",
    "tls_failure": "TLS failure",
    "dns_failure": "DNS failure",
    "blocked": "Blocked",
    "unknown": "Unknown",
}
REPLAY_SELECT = {
    "missing": "what was never planned",
    "failed": "what was parked",
    "all": "everything",
}
AUDIENCE = {
    "users": "Users",
    "help_desk": "Help desk",
    "executives": "Executives",
    "soc": "Security",
}
LANGUAGE = {"en": "English", "de": "Deutsch"}
PHASE = {
    "first": "first notice",
    "update": "update",
    "mitigated": "mitigated",
    "resolved": "resolved",
}
SOURCE_STATE = {
    "fresh": "Fresh",
    "stale": "Stale",
    "failing": "Failing",
    "never_read": "Never read",
}
SOURCE_KIND = {
    "graph": "Microsoft Graph",
    "probe": "Probe",
    "client_report": "Client reports",
    "status_feed": "Status feed",
}
EVENT = {
    "incident.opened": "Opened",
    "incident.confirmed": "Confirmed",
    "incident.updated": "Updated",
    "incident.mitigating": "Mitigating",
    "incident.monitoring": "Monitoring",
    "incident.resolved": "Resolved",
    "incident.reopened": "Reopened",
    "incident.closed": "Closed",
    "incident.dismissed": "Dismissed",
    "incident.merged": "Merged",
    "incident.split": "Split",
    "incident.acknowledged": "Acknowledged",
    "incident.noted": "Note added",
    "incident.advisory_linked": "Advisory joined",
    "incident.advisory_updated": "Advisory updated",
}
ADVISORY_STATUS = {
    "serviceDegradation": "degradation",
    "serviceInterruption": "interruption",
    "investigating": "investigating",
    "investigationSuspended": "investigation suspended",
    "restoringService": "restoring",
    "extendedRecovery": "extended recovery",
    "verifyingService": "verifying",
    "serviceRestored": "restored",
    "serviceOperational": "operational",
    "postIncidentReviewPublished": "review published",
    "falsePositive": "false positive",
    "reported": "reported",
    "confirmed": "confirmed",
    "resolved": "resolved",
}
# Phases in which the vendor says that a fix is under way.
FIXING = frozenset(
    {"restoringService", "extendedRecovery", "verifyingService", "mitigated", "mitigatedExternal"}
)

_SERVICE_NAMES = {service.slug: service.name for service in SERVICES}


def service_name(slug: str) -> str:
    """Name a service of the catalogue; an unknown slug is made readable."""
    return _SERVICE_NAMES.get(slug) or slug.replace("-", " ").title()


def word(table: dict[str, str], value: str | None) -> str:
    """Look a wire word up; one that we do not know is shown as it is."""
    if not value:
        return ""
    return table.get(value) or value.replace("_", " ")


def plural(count: int, one: str, many: str | None = None) -> str:
    """Write a count with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listing(words: list[str], most: int = 3) -> str:
    """Join words with commas, and count those beyond the first few."""
    if len(words) <= most:
        return ", ".join(words)
    return f"{', '.join(words[:most])} and {len(words) - most} more"
