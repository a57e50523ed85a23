"""Tokens, Event Management, import sets and attachments."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.standins.servicenow import incidents
from tests.standins.servicenow.faults import NOT_FOUND, UNAUTHENTICATED, Refused, failure
from tests.standins.servicenow.instance import Instance, User

DENIED = {"error_description": "access_denied", "error": "server_error"}


async def token(instance: Instance, request: Request) -> Response:
    """Give a token for a form with client credentials; nearly every fault has the same answer."""
    if "application/x-www-form-urlencoded" not in request.headers.get("content-type", ""):
        return JSONResponse({"error": "unspecified_error"}, status_code=400)
    form = {key: values[0] for key, values in parse_qs((await request.body()).decode()).items()}
    application = instance.applications.get(form.get("client_id", ""))
    if (
        not instance.grant_enabled
        or form.get("grant_type") != "client_credentials"
        or application is None
        or application.secret != form.get("client_secret")
    ):
        return JSONResponse(DENIED, status_code=401)
    made = instance.new_id()
    until = instance.now() + timedelta(seconds=instance.token_seconds)
    scoped = application.scoped and form.get("scope") != "useraccount"
    instance.tokens[made] = (application.user, until, scoped)
    return JSONResponse(
        {"access_token": made, "scope": "useraccount", "token_type": "Bearer",
         "expires_in": instance.token_seconds - 1}
    )  # fmt: skip


def events(instance: Instance, user: User, body: Any) -> Response:
    """Take events in; an event of a known ``message_key`` moves its alert."""
    if "evt_mgmt_integration" not in user.roles:
        raise Refused(401, UNAUTHENTICATED)
    records = body.get("records", []) if isinstance(body, dict) else []
    for record in records:
        state = "Processed" if _is_sound(record) else "Error"
        values = {key: str(value) for key, value in record.items()}
        instance.insert("em_event", by=user.name, **values, state=state)
        if state == "Processed":
            _move_alert(instance, values)
    told = f"{len(records)} events were inserted"
    return JSONResponse({"result": {"Default Bulk Endpoint": told}})


def _is_sound(record: dict[str, Any]) -> bool:
    """Without severity, or with numbers in ``additional_info``, an event ends in Error."""
    extra = record.get("additional_info", "{}")
    try:
        read = json.loads(extra) if isinstance(extra, str) else None
    except ValueError:
        read = None
    texts = isinstance(read, dict) and all(isinstance(v, str) for v in read.values())
    return record.get("severity") not in {None, ""} and texts


def _move_alert(instance: Instance, event: dict[str, str]) -> None:
    parts = ("source", "node", "type", "resource", "metric_name")
    key = event.get("message_key") or "_".join(event.get(part, "") for part in parts)
    alerts = instance.tables["em_alert"]
    known = next((a for a in alerts.values() if a["message_key"] == key), None)
    clears = event["severity"] == "0" or event.get("resolution_state") == "Closing"
    if known is None:
        if not clears:
            instance.insert("em_alert", message_key=key, severity=event["severity"], state="Open",
                            description=event.get("description", ""), events="1")  # fmt: skip
        return
    known["events"] = str(int(known["events"]) + 1)
    if clears:
        known["state"] = "Closed"
    else:
        known["state"] = "Reopen" if known["state"] == "Closed" else known["state"]
        known["severity"] = event["severity"]


def import_set(instance: Instance, user: User, staging: str, body: Any) -> Response:
    """Transform one row; coalesces on ``u_correlation_id``; a failed transform is a 201 too."""
    row = body if isinstance(body, dict) else {}
    made: dict[str, Any] = {
        "import_set": "ISET0010001", "staging_table": staging,
        "result": [{"transform_map": "Incident", "table": "incident"}],
    }  # fmt: skip
    result = made["result"][0]
    key = str(row.get("u_correlation_id", ""))
    values = {name.removeprefix("u_"): value for name, value in row.items()}
    failed = {
        "status": "error",
        "error_message": "An error has occurred while importing the incident",
        "status_message": "failure",
    }
    if not key:
        result |= failed
        return JSONResponse(made, status_code=201)
    try:
        known = instance.incidents(correlation_id=key)
        if known:
            incidents.change(instance, user, known[0], values, display=False)
            result |= {"status": "updated", "sys_id": known[0]["sys_id"]}
        else:
            record = incidents.create(instance, user, values, display=False)
            result |= {"status": "inserted", "sys_id": record["sys_id"]}
    except Refused:
        result |= failed
    return JSONResponse(made, status_code=201)


def attachment(instance: Instance, user: User, request: Request, size: int) -> Response:
    """Keep that a file came to a record."""
    params = request.query_params
    name, sys_id = params.get("table_name", ""), params.get("table_sys_id", "")
    if sys_id not in instance.tables.get(name, {}) or sys_id in instance.hidden:
        raise Refused(404, NOT_FOUND)
    if instance.attaching == "none":
        raise Refused(403, failure("User Not Authorized", "ACL on sys_attachment"))
    if size > instance.largest_file:
        raise Refused(413, failure("Attachment is too large", None))
    made = instance.insert("sys_attachment", by=user.name, table_name=name, table_sys_id=sys_id,
                           file_name=params.get("file_name", ""), size_bytes=str(size))  # fmt: skip
    where = f"{str(request.base_url).rstrip('/')}/api/now/attachment/{made}"
    record = instance.tables["sys_attachment"][made]
    return JSONResponse({"result": record}, status_code=201, headers={"location": where})


def attachments(instance: Instance, user: User, request: Request) -> Response:
    """List files by a query of equalities, or delete one."""
    del user
    table = instance.tables["sys_attachment"]
    if request.method == "DELETE":
        if request.path_params["sys_id"] not in table:
            raise Refused(404, NOT_FOUND)
        if instance.attaching != "all":
            raise Refused(403, failure("User Not Authorized", "ACL on sys_attachment"))
        del table[request.path_params["sys_id"]]
        return Response(status_code=204)
    asked = dict(
        part.split("=", 1) for part in request.query_params.get("sysparm_query", "").split("^")
    )
    found = [row for row in table.values() if all(row.get(k) == v for k, v in asked.items())]
    return JSONResponse({"result": found})
