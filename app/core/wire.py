"""What of an event's document goes on the wire at which detail."""

from typing import Any

THIN_FIELDS = (
    "id", "number", "revision", "status", "severity", "title", "services", "url", "updated_at",
)  # fmt: skip


def thin(document: dict[str, Any]) -> dict[str, Any]:
    """Reduce the incident of an event's document to what names it and says how it stands."""
    facts = dict(document.get("data") or {})
    incident = facts.get("incident")
    if isinstance(incident, dict):
        facts["incident"] = {name: incident[name] for name in THIN_FIELDS if name in incident}
    # The former values of fields that a thin body does not have would say what it leaves out.
    if isinstance(facts.get("previous"), dict):
        facts["previous"] = {
            name: value for name, value in facts["previous"].items() if name in THIN_FIELDS
        }
    return {**document, "data": facts}
