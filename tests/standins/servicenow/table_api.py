"""The Table API over the instance's tables: query, paging, shapes, and the rules of writing."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.standins.servicenow import incidents, query, words
from tests.standins.servicenow.faults import API_ACL, NOT_FOUND, Refused, failure
from tests.standins.servicenow.instance import Instance, Record, User

DEFAULT_LIMIT = 10_000
WRITERS = frozenset({"itil", "sn_incident_write", "admin", "itil_admin"})


def table(instance: Instance, user: User, request: Request, body: Any) -> Response:
    """Answer one request of the Table API.

    Raises:
        Refused: it is refused.
    """
    name = request.path_params["table"]
    sys_id = request.path_params.get("sys_id")
    if name not in instance.tables:
        raise Refused(400, failure(f"Invalid table {name}", None))
    if not user.roles & (WRITERS | {"sn_incident_read"}):
        raise Refused(403, API_ACL)
    match request.method, sys_id:
        case "GET", None:
            return _listed(instance, user, request, name)
        case "GET", str():
            found = _visible(instance, name, sys_id)
            return JSONResponse({"result": shown(instance, user, request, name, found)})
        case "POST", None:
            return _created(instance, user, request, name, body)
        case (("PATCH" | "PUT"), str()):
            return _changed(instance, user, request, name, body)
        case "DELETE", str():
            _visible(instance, name, sys_id)
            del instance.tables[name][sys_id]
            return Response(status_code=204)
        case _:
            raise Refused(405, failure("Method not supported", None))


def _visible(instance: Instance, name: str, sys_id: str) -> Record:
    found = instance.tables[name].get(sys_id)
    if found is None or sys_id in instance.hidden:
        raise Refused(404, NOT_FOUND)
    return found


def _display_inputs(request: Request) -> bool:
    return request.query_params.get("sysparm_input_display_value") == "true"


def _created(instance: Instance, user: User, request: Request, name: str, body: Any) -> Response:
    values = body[0] if isinstance(body, list) else body
    if not isinstance(values, dict):
        raise Refused(400, failure("Exception while reading request", "Unparseable body"))
    if name != "incident":
        if "admin" not in user.roles:
            detail = "ACL Exception Insert Failed due to security constraints"
            raise Refused(403, failure("Operation Failed", detail))
        made = instance.insert(name, by=user.name, **{k: str(v) for k, v in values.items()})
        record = instance.tables[name][made]
    else:
        record = incidents.create(instance, user, values, display=_display_inputs(request))
    where = f"{_root(request)}/api/now/table/{name}/{record['sys_id']}"
    result = shown(instance, user, request, name, record)
    return JSONResponse({"result": result}, status_code=201, headers={"location": where})


def _changed(instance: Instance, user: User, request: Request, name: str, body: Any) -> Response:
    record = _visible(instance, name, request.path_params["sys_id"])
    if not isinstance(body, dict):
        raise Refused(400, failure("Exception while reading request", "Unparseable body"))
    if name != "incident" or not user.roles & WRITERS:
        detail = "ACL Exception Update Failed due to security constraints"
        raise Refused(403, failure("Operation Failed", detail))
    changed = incidents.change(instance, user, record, body, display=_display_inputs(request))
    return JSONResponse({"result": shown(instance, user, request, name, changed)})


def _root(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def selected(instance: Instance, user: User, params: Mapping[str, str], name: str) -> list[Record]:
    """All records that a query names, in its order, before any ACL."""
    text = params.get("sysparm_query", "")
    if not text:
        pairs = [(k, v) for k, v in params.items() if not k.startswith("sysparm_")]
        text = "^".join(f"{key}={value}" for key, value in pairs)
    wanted = query.parse(text)
    rows = [
        row
        for row in instance.rows(name)
        if query.matches(
            wanted,
            lambda field, row=row: _value(instance, name, row, field),  # type: ignore[misc]  # bound
            zone=user.zone,
            strict=instance.strict_queries,
        )
    ]
    for field, descending in reversed(wanted.order):
        rows.sort(key=lambda row, f=field: row.get(f, ""), reverse=descending)  # type: ignore[misc]  # bound
    return rows


def _value(instance: Instance, name: str, row: Record, field: str) -> str | None:
    head, dot, rest = field.partition(".")
    if dot:
        target = instance.tables.get(words.REFERENCES.get(head, ""), {})
        below = target.get(row.get(head, ""))
        if head not in words.REFERENCES:
            return None
        return "" if below is None else _value(instance, words.REFERENCES[head], below, rest)
    if name == "incident":
        return row.get(head, "") if head in words.INCIDENT else None
    return row.get(head)


def _listed(instance: Instance, user: User, request: Request, name: str) -> Response:
    params = request.query_params
    try:
        limit = int(params.get("sysparm_limit", DEFAULT_LIMIT))
        offset = int(params.get("sysparm_offset", 0))
    except ValueError:
        raise Refused(400, failure("Invalid paging parameter", None)) from None
    if offset < 0:
        raise Refused(400, failure("Invalid offset", "sysparm_offset is negative"))
    rows = selected(instance, user, params, name)
    total = len(rows)
    page = [row for row in rows[offset : offset + limit] if row["sys_id"] not in instance.hidden]
    if name == "sys_journal_field" and not user.reads_journal:
        page = []
    if not page and request.path_params.get("version") == "v1":
        raise Refused(404, failure("No Record found", "Records matching query not found"))
    headers = {}
    if params.get("sysparm_no_count") != "true":
        headers["x-total-count"] = str(total)
    if params.get("sysparm_suppress_pagination_header") != "true":
        headers["link"] = _links(request, limit, offset, total)
    result = [shown(instance, user, request, name, row) for row in page]
    return JSONResponse({"result": result}, headers=headers)


def _links(request: Request, limit: int, offset: int, total: int) -> str:
    places = {"first": 0, "prev": offset - limit}  # -1 and the like on the first page: observed
    if offset + limit < total:
        places["next"] = offset + limit
    places["last"] = max((total - 1) // limit * limit, 0) if limit else 0
    rest = {k: v for k, v in request.query_params.items() if k != "sysparm_offset"}
    address = f"{_root(request)}{request.url.path}"
    return ",".join(
        f'<{address}?{urlencode({**rest, "sysparm_offset": at})}>;rel="{rel}"'
        for rel, at in places.items()
    )


def shown(
    instance: Instance, user: User, request: Request, name: str, row: Record
) -> dict[str, Any]:
    """A record in the shape that the parameters ask for."""
    params = request.query_params
    wanted = [f for f in params.get("sysparm_fields", "").split(",") if f]
    display = params.get("sysparm_display_value", "false")
    bare = params.get("sysparm_exclude_reference_link") == "true"
    made: dict[str, Any] = {}
    for field in wanted or sorted(row):
        value = _value(instance, name, row, field)
        if value is None:
            continue
        table = words.REFERENCES.get(field) if name == "incident" else None
        link = f"{_root(request)}/api/now/table/{table}/{value}"
        made[field] = _shaped(
            _Cell(value, _text(instance, user, row, field, value), link if table else ""),
            display=display, bare=bare,
        )  # fmt: skip
    return made


class _Cell:
    """One value with its display text, and where a reference leads."""

    def __init__(self, value: str, text: str, link: str) -> None:
        self.value = value
        self.text = text
        self.link = link


def _shaped(cell: _Cell, *, display: str, bare: bool) -> Any:
    linked = bool(cell.link and cell.value and not bare)
    match display:
        case "true":
            return {"display_value": cell.text, "link": cell.link} if linked else cell.text
        case "all":
            both = {"display_value": cell.text, "value": cell.value}
            return {**both, "link": cell.link} if linked else both
        case _:
            return {"link": cell.link, "value": cell.value} if linked else cell.value


def _text(instance: Instance, user: User, row: Record, field: str, value: str) -> str:
    if field in words.REFERENCES and value:
        table = words.REFERENCES[field]
        target = instance.tables.get(table, {}).get(value, {})
        return target.get(words.DISPLAY_FIELD.get(table, "name"), value)
    if field in words.INSTANTS and value:
        at = datetime.strptime(value, query.STAMP).replace(tzinfo=UTC)
        return at.astimezone(ZoneInfo(user.zone)).strftime(query.STAMP)
    if field in words.JOURNALS:
        notes = instance.notes_of(row["sys_id"], field)
        return "\n\n".join(reversed(notes))
    return words.LABELS.get(field, {}).get(value, value)
