"""What an incident becomes as a record: pure, from the incident and the settings alone."""

from collections.abc import Mapping
from datetime import datetime

from app.core.document import rfc3339
from app.core.incident import Incident
from app.core.ticket import Rule
from app.core.types import Severity
from app.kit.cutting import cut
from app.sinks.servicenow.settings import MirrorSettings, for_service
from app.sinks.servicenow.text import plain

LENGTHS: Mapping[str, int] = {  # of the stock dictionary, used where ours cannot be read
    "short_description": 160, "description": 4000, "close_notes": 4000, "work_notes": 4000,
}  # fmt: skip
RULES: Mapping[str, Rule] = {
    "short_description": Rule.FOLLOW,
    "description": Rule.FOLLOW,
    "impact": Rule.RAISE,
    "urgency": Rule.RAISE,
}
# Impact and urgency; the priority follows from them by the instance's own lookup.
WEIGHT: Mapping[Severity, tuple[str, str]] = {
    Severity.CRITICAL: ("1", "1"),
    Severity.MAJOR: ("1", "2"),
    Severity.MINOR: ("2", "2"),
    Severity.WARNING: ("3", "2"),
    Severity.INFO: ("3", "3"),
    Severity.UNKNOWN: ("3", "3"),
}
EM_SEVERITY: Mapping[Severity, str] = {
    Severity.CRITICAL: "1", Severity.MAJOR: "2", Severity.MINOR: "3", Severity.WARNING: "4",
    Severity.INFO: "5", Severity.UNKNOWN: "4",
}  # fmt: skip


def advisory_ids(incident: Incident) -> str:
    """The vendor's ids, by commas."""
    return ", ".join(sorted(a.id for a in incident.advisories))


def title_of(incident: Incident, settings: MirrorSettings, longest: int) -> str:
    """The short description; the advisory's id stays at its end however long it is."""
    ids = [a.id for a in incident.advisories][:1]
    tail = f" [{ids[0]}]" if ids and ids[0] not in incident.title else ""
    return cut(plain(settings.title_prefix + incident.title), longest, tail=tail)


def description_of(incident: Incident, url: str, longest: int) -> str:
    """The description: who is hit by what since when, and where to read on."""
    impact = incident.impact
    facts = {
        "Services": ", ".join(incident.services),
        "Symptoms": ", ".join(s.value for s in incident.symptoms),
        "Clients": ", ".join(c.value for c in incident.clients),
        "Regions": ", ".join(incident.regions),
        "Users who reported it": str(impact.reporters) if impact.reporters else "",
        "Locations failing": f"{impact.locations_failing} of {impact.locations_total}"
        if impact.locations_total
        else "",
        "Whose fault": incident.origin.value,
        "Microsoft advisory": advisory_ids(incident),
        "First seen": told_at(incident.first_signal_at or incident.opened_at),
        "Sextant": f"{incident.number} {url}",
    }
    lines = [f"{name}: {text}" for name, text in facts.items() if text]
    summary = [incident.summary, ""] if incident.summary else []
    tail = "\n" + "\n".join(lines)
    return cut(plain("\n".join(summary)), longest, tail=plain(tail)).strip()


def told_at(at: datetime | None) -> str:
    """An instant as people read it in a ticket."""
    return (rfc3339(at) or "").replace("T", " ").partition(".")[0].rstrip("Z") + " UTC"


def fields_of(
    incident: Incident, settings: MirrorSettings, *, url: str, lengths: Mapping[str, int]
) -> dict[str, str]:
    """All fields of the record that are ours to choose; names of groups still by name."""
    impact, urgency = WEIGHT[incident.severity]
    chosen = {
        **settings.fields,
        "short_description": title_of(incident, settings, lengths["short_description"]),
        "description": description_of(incident, url, lengths["description"]),
        "impact": impact,
        "urgency": urgency,
        "caller_id": settings.caller,
        "assignment_group": for_service(settings.assignment_group, incident.services),
        "business_service": for_service(settings.business_service, incident.services),
    }
    return {name: text for name, text in chosen.items() if text}
