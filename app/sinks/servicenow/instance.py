"""What is learnt of an instance before anything is written: choices, lengths, names of groups."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.clients.errors import VendorError
from app.clients.servicenow import Reply, ServiceNowClient
from app.sinks.servicenow.settings import SYS_ID, MirrorSettings
from app.sinks.servicenow.text import value

CLOSE_CODES = (  # in the order of our liking: of current releases, then of older ones
    "Solution provided", "Solved (Permanently)", "Resolved by change", "Workaround provided",
    "No resolution provided", "Solved (Work Around)",
)  # fmt: skip
# Which table names the values of a field that may be given by name, and in which column.
NAMED: Mapping[str, tuple[str, str]] = {
    "assignment_group": ("sys_user_group", "name"),
    "caller_id": ("sys_user", "user_name"),
    "business_service": ("cmdb_ci_service", "name"),
    "cmdb_ci": ("cmdb_ci", "name"),
}
TABLES = "/api/now/table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Choices of the instance, lengths of fields, and sys_ids of names that were asked for.

    Empty ``codes`` or ``states`` mean that they could not be read, which forbids nothing.
    """

    codes: tuple[str, ...] = ()
    states: frozenset[str] = frozenset()
    lengths: Mapping[str, int] = field(default_factory=dict)
    ids: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def close_code(self, wanted: str) -> str:
        """A close code that the instance has: the wanted one, else the best of ours, else any."""
        if not self.codes:
            return wanted or CLOSE_CODES[0]
        for code in (wanted, *CLOSE_CODES):
            if code in self.codes:
                return code
        return self.codes[0]

    def offers(self, state: str) -> bool:
        """Whether the instance has that state."""
        return not self.states or state in self.states

    def resolved(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Fields with sys_ids for names; a name that the instance does not know is left out."""
        made = {}
        for name, text in fields.items():
            found = self.ids.get((name, text), "") if _is_name(name, text) else text
            if found:
                made[name] = found
        return made

    def missing(self, fields: Mapping[str, str]) -> str:
        """A sentence about names that the instance does not know; empty when it knows all."""
        lost = [
            f"{name} {text!r}"
            for name, text in sorted(fields.items())
            if _is_name(name, text) and not self.ids.get((name, text))
        ]
        return f"The instance does not know {', '.join(lost)}; left empty." if lost else ""


def _is_name(name: str, text: str) -> bool:
    return name in NAMED and bool(text) and not SYS_ID.match(text)


async def learn(client: ServiceNowClient, settings: MirrorSettings) -> Facts:
    """Read choices, lengths and names.

    Raises:
        VendorError: the instance cannot be reached or lets us read nothing at all.
    """
    states = await _rows(
        client, "sys_choice", "name=incident^element=state^inactive=false", "element,value"
    )
    codes = await _rows(
        client, "sys_choice", "name=incident^element=close_code^inactive=false", "element,value"
    )
    lengths = await _rows(
        client, "sys_dictionary", "nameINtask,incident^max_lengthISNOTEMPTY", "element,max_length"
    )
    return Facts(
        codes=tuple(row["value"] for row in codes if row.get("element") == "close_code"),
        states=frozenset(row["value"] for row in states if row.get("element") == "state"),
        lengths={
            row["element"]: int(row["max_length"])
            for row in lengths
            if row.get("max_length", "").isdecimal() and row.get("element")
        },
        ids=await _ids(client, settings),
    )


async def _ids(client: ServiceNowClient, settings: MirrorSettings) -> dict[tuple[str, str], str]:
    given: dict[str, set[str]] = {
        "assignment_group": _values(settings.assignment_group),
        "business_service": _values(settings.business_service),
        "caller_id": _values(settings.caller),
        **{name: {text} for name, text in settings.fields.items()},
    }
    found = {}
    for name, texts in given.items():
        for text in sorted(t for t in texts if _is_name(name, t)):
            table, column = NAMED[name]
            rows = await _rows(client, table, f"{column}={value(text)}", f"sys_id,{column}", "2")
            fitting = [row for row in rows if row.get(column) == text]
            if fitting:
                found[name, text] = fitting[0]["sys_id"]
    return found


def _values(given: str | dict[str, str]) -> set[str]:
    return {given} if isinstance(given, str) else set(given.values())


async def _rows(
    client: ServiceNowClient, table: str, query: str, fields: str, limit: str = "500"
) -> list[dict[str, str]]:
    """Rows of a table; none where we may not read it."""
    params = {
        "sysparm_query": query, "sysparm_fields": fields, "sysparm_limit": limit,
        "sysparm_display_value": "false", "sysparm_exclude_reference_link": "true",
        "sysparm_suppress_pagination_header": "true",
    }  # fmt: skip
    try:
        reply: Reply = await client.get(f"{TABLES}/{table}", params)
    except VendorError as error:
        if error.code in {"forbidden", "not_found", "bad_request"} and "unscoped" not in error.text:
            return []
        raise
    rows = reply.result if isinstance(reply.result, list) else []
    return [row for row in rows if isinstance(row, dict)]
