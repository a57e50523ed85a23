"""Words of a stock instance: fields, lengths, choices, references (Table API reference)."""

from collections.abc import Mapping

NEW, IN_PROGRESS, ON_HOLD, RESOLVED, CLOSED, CANCELED = "1", "2", "3", "6", "7", "8"
OPEN = frozenset({NEW, IN_PROGRESS, ON_HOLD})
STATES = {
    NEW: "New", IN_PROGRESS: "In Progress", ON_HOLD: "On Hold",
    RESOLVED: "Resolved", CLOSED: "Closed", CANCELED: "Canceled",
}  # fmt: skip
HOLD_REASONS = {
    "1": "Awaiting Caller", "3": "Awaiting Problem", "4": "Awaiting Vendor", "5": "Awaiting Change",
}  # fmt: skip
PRIORITIES = {
    ("1", "1"): "1", ("1", "2"): "2", ("1", "3"): "3", ("2", "1"): "2", ("2", "2"): "3",
    ("2", "3"): "4", ("3", "1"): "3", ("3", "2"): "4", ("3", "3"): "5",
}  # fmt: skip
CLOSE_CODES = (
    "Duplicate", "Known error", "No resolution provided", "Resolved by caller",
    "Resolved by change", "Resolved by problem", "Resolved by request", "Solution provided",
    "Workaround provided", "User error",
)  # fmt: skip
OLD_CLOSE_CODES = (
    "Solved (Work Around)", "Solved (Permanently)", "Solved Remotely (Work Around)",
    "Solved Remotely (Permanently)", "Not Solved (Not Reproducible)", "Not Solved (Too Costly)",
    "Closed/Resolved by Caller",
)  # fmt: skip
LENGTHS: Mapping[str, int] = {
    "short_description": 160, "description": 4000, "close_notes": 4000, "comments": 4000,
    "work_notes": 4000, "correlation_id": 100, "correlation_display": 100, "contact_type": 40,
}  # fmt: skip
REFERENCES: Mapping[str, str] = {
    "assignment_group": "sys_user_group", "assigned_to": "sys_user", "caller_id": "sys_user",
    "business_service": "cmdb_ci_service", "cmdb_ci": "cmdb_ci", "parent_incident": "incident",
    "problem_id": "problem", "resolved_by": "sys_user", "closed_by": "sys_user",
    "opened_by": "sys_user", "reopened_by": "sys_user", "company": "core_company",
    "location": "cmn_location", "service_offering": "service_offering",
}  # fmt: skip
JOURNALS = frozenset({"work_notes", "comments"})
PLAIN = (
    "number", "state", "incident_state", "active", "short_description", "description", "impact",
    "urgency", "priority", "severity", "category", "subcategory", "contact_type", "close_code",
    "close_notes", "correlation_id", "correlation_display", "hold_reason", "opened_at",
    "resolved_at", "closed_at", "reopen_count", "reopened_time", "child_incidents",
    "major_incident_state", "sys_class_name",
)  # fmt: skip
SYSTEM = (
    "sys_id", "sys_created_on", "sys_created_by", "sys_updated_on", "sys_updated_by",
    "sys_mod_count", "sys_tags",
)  # fmt: skip
INCIDENT = frozenset({*PLAIN, *SYSTEM, *REFERENCES, *JOURNALS})
# Nobody writes these by the API; a stock instance takes the value and silently keeps its own.
READ_ONLY = frozenset(
    {*SYSTEM, "number", "priority", "incident_state", "closed_at", "resolved_at", "resolved_by",
     "reopen_count", "reopened_by", "reopened_time", "active", "opened_by", "sys_class_name"}
)  # fmt: skip
INSTANTS = frozenset(
    {"sys_created_on", "sys_updated_on", "opened_at", "resolved_at", "closed_at", "reopened_time"}
)
LABELS: Mapping[str, Mapping[str, str]] = {
    "state": STATES,
    "incident_state": STATES,
    "hold_reason": HOLD_REASONS,
    "impact": {"1": "1 - High", "2": "2 - Medium", "3": "3 - Low"},
    "urgency": {"1": "1 - High", "2": "2 - Medium", "3": "3 - Low"},
    "priority": {
        "1": "1 - Critical", "2": "2 - High", "3": "3 - Moderate", "4": "4 - Low",
        "5": "5 - Planning",
    },
}  # fmt: skip
DISPLAY_FIELD = {"incident": "number", "problem": "number"}  # elsewhere: name
