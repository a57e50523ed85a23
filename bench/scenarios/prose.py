"""The vendor's words: posts in the labelled form that its admin centre shows."""

from datetime import datetime
from typing import Any

NAMES = {
    "EX": "Exchange Online",
    "TM": "Microsoft Teams",
    "SP": "SharePoint Online",
    "ID": "Microsoft Entra",
    "OD": "OneDrive for Business",
    "CP": "Microsoft Copilot (Microsoft 365)",
    "MO": "Microsoft 365 suite",
}
FEATURES = {
    "EX": ("E-Mail and calendar access", "E-Mail and calendar access"),
    "TM": ("Teams Components", "Teams Components"),
    "SP": ("SharePoint Features", "SharePoint Features"),
    "ID": ("Sign-in", "Sign-in"),
    "OD": ("OneDrive for Business", "OneDrive for Business"),
    "CP": ("Microsoft Copilot", "Microsoft Copilot"),
    "MO": ("Access", "Portal"),
}
REGIONS = {"de": "Germany", "fr": "France", "pl": "Poland"}
IMPACT = {
    "http5xx": "be unable to access {name}",
    "timeout": "be unable to access {name} or experience timeouts",
    "auth": "be repeatedly prompted for credentials and be unable to sign in to {name}",
    "token": "be unable to sign in to {name} and other Microsoft 365 services",
    "latency": "experience delays when using {name}",
    "mailflow": "experience delays sending or receiving email messages in {name}",
    "media": "be unable to join meetings or place calls in {name}",
    "sync": "see files fail to synchronize in {name}",
    "network": "experience connectivity problems when accessing {name}",
    "report": "see outdated figures in the usage reports of {name}",
    "search": "receive incomplete search results in {name}",
}
MORE = {
    "http5xx": "Affected users may receive HTTP 503 errors or 'Something went wrong'.",
    "timeout": "Requests may time out before content is displayed.",
    "auth": "Affected users may see the password prompt again and again (a sign-in loop).",
    "token": "Affected users may receive AADSTS90033 or AADSTS50000 errors.",
    "latency": "Actions may take more than 20 seconds to complete.",
    "mailflow": "Messages may be queued for more than 15 minutes before delivery.",
    "media": "Calls may drop and meetings may not connect.",
    "sync": "The sync client may show 'Sync pending'.",
    "network": "Impact appears to be specific to users served through one internet provider.",
    "report": "Mail and files are not affected.",
    "search": "Opening items from other views isn't affected.",
}
CAUSES = (
    "A recent configuration change inadvertently caused impact.",
    "A section of service infrastructure isn't processing traffic as efficiently as expected.",
    "A recent service update contained a code regression.",
    "A portion of networking infrastructure entered an unhealthy state.",
)


def when(at: datetime) -> str:
    """A time as the vendor writes it: ``Monday, March 16, 2026, at 8:45 AM UTC``."""
    hour = at.hour % 12 or 12
    half = "AM" if at.hour < 12 else "PM"
    return f"{at:%A, %B} {at.day}, {at.year}, at {hour}:{at:%M} {half} UTC"


def impact(service: str, symptom: str, *, over: bool) -> str:
    """The sentence of who may be hit, or may have been."""
    name = NAMES[service]
    text = IMPACT.get(symptom, IMPACT["http5xx"]).format(name=name)
    if over and text.startswith("be "):
        text = f"have been {text[3:]}"
    elif over:
        text = f"have {_past(text)}"
    return f"Users may {text}."


def _past(text: str) -> str:
    verb, _, rest = text.partition(" ")
    return f"{ {'experience': 'experienced', 'see': 'seen', 'receive': 'received'}[verb] } {rest}"


def more(symptom: str, listed: list[str]) -> str:
    """What users see, and for an umbrella the services as a list."""
    text = MORE.get(symptom, MORE["http5xx"])
    if listed:
        text += " Impacted services include:\n" + "\n".join(f"- {NAMES[s]}" for s in listed)
    return text


def post(
    *,
    title: str,
    service: str,
    symptom: str,
    status: str,
    listed: list[str],
    scope: str,
    start: datetime | None,
    cause: str,
    end: datetime | None = None,
    following: datetime | None = None,
    first: bool = False,
    spelling: str = "new",
) -> str:
    """One post: its labelled lines, those that the vendor gives at this point of the story."""
    over = end is not None
    parts: list[tuple[str, Any]] = [
        ("Title", title),
        ("User impact", impact(service, symptom, over=over)),
        ("More info", more(symptom, listed)),
        ("Final status" if over else "Current status", STATUS[status]),
        ("Scope of impact", scope if not first else ""),
        ("Start time", when(start) if start and not first else ""),
        ("End time", when(end) if end else ""),
        (("Root cause" if over else "Preliminary root cause"), "" if first else cause),
        ("Next update by", when(following) if following and not first else ""),
    ]
    labels = SPELLINGS[spelling]
    text = "\n\n".join(f"{labels.get(label, label)}: {value}" for label, value in parts if value)
    if first:
        text += "\n\nWe'll provide an update within 30 minutes."
    return text + ("\n\nThis is the final update for the event." if over else "")


# the labels are not always written alike
SPELLINGS: dict[str, dict[str, str]] = {
    "new": {},
    "old": {
        "User impact": "User Impact",
        "Current status": "Current Status",
        "Final status": "Final Status",
        "Start time": "Incident Start Time",
        "End time": "Incident End Time",
        "Next update by": "Next Update by",
    },
}
STATUS = {
    "reported": "We've received reports of a potential issue.",
    "investigating": "We're investigating a potential issue and checking for impact to your "
    "organization.",
    "confirmed": "We've confirmed the issue and are working to isolate its source.",
    "serviceDegradation": "We're reviewing service telemetry to isolate the source of the issue "
    "and determine our next troubleshooting steps.",
    "serviceInterruption": "We've isolated the impact to a portion of infrastructure and we're "
    "working to restore the service.",
    "restoringService": "We've reverted the change and we're monitoring as the service recovers.",
    "verifyingService": "We're verifying with a subset of users that the service is restored.",
    "extendedRecovery": "The fix is saturating. Some users will experience a longer recovery.",
    "serviceRestored": "We've confirmed from service telemetry that the issue is resolved.",
    "falsePositive": "After our analysis we determined that the service was operating as "
    "expected, and that this communication was a false positive.",
    "investigationSuspended": "We're unable to reproduce the problem and have suspended the "
    "investigation until we receive further reports.",
    "postIncidentReviewPublished": "A post-incident report has been published.",
}
