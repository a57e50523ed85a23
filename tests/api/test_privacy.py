"""Nobody's name: planted canaries are in no table, log or event, whichever door they came by."""

import json
import logging
import re
from datetime import timedelta
from urllib.parse import urlencode

import httpx
import pytest
from sqlalchemy import inspect, text

from app.api.app import add_routes, create_api
from app.bootstrap import build
from app.flow import keys
from app.kit.clock import FixedClock
from app.kit.logs import JsonLines
from app.settings import Settings
from app.store import intake as store
from app.web.routes import create_router
from tests.builders import NOW, TENANT

PLANTED = {
    "mail": "canary.anna@contoso.example",
    "upn": "CANARY.bert@tenant.onmicrosoft.example",
    "user": "CANARYDOM\\canarycarl",
    "path": "C:\\Users\\canarydora\\AppData\\Local\\x.ost",
    "token": "eyJcanary0.eyJcanary1.canarysig",
    "bearer": "Bearer canarytoken-0123456789",
    "query": "https://outlook.office365.com/owa/?canaryquery=1#canaryfragment",
    "address": "203.0.113.222",
    "address6": "2001:db8:cafe:1::222",
    "device": "CANARY-LAPTOP-7",
    "name": "canary erna",
}
TRACES = re.compile(rb"canary|203\.0\.113\.222|2001:db8:cafe", re.IGNORECASE)
TEXT = " and ".join(PLANTED[k] for k in PLANTED if k not in {"device", "name"}) + " saw AADSTS50196"


@pytest.fixture
def context(database):
    tenants = [{"id": TENANT, "name": "Contoso", "users": 500}]
    made = build(Settings.model_validate({"tenants": tenants}), database)
    made.clock = made.fold._clock = FixedClock(NOW)
    made.doors.foreign._clock = made.doors.standing._clock = made.clock
    return made


@pytest.fixture
async def client(context):
    api = create_api(context)
    add_routes(api, create_router().routes)
    transport = httpx.ASGITransport(api, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        yield client


async def key(context, *scopes):
    made = await keys.create(context.db, tenant=TENANT, name="k", scopes=scopes, now=NOW)
    return made.secret


def report(number=0):
    return {
        "service": "exchange-online", "client": "outlook_desktop", "code": "AADSTS50196",
        "message": TEXT, "reporter": f"{PLANTED['mail']}{number}", "device": PLANTED["device"],
        "network": PLANTED["address"], "id": f"{PLANTED['name']} {number}",
    }  # fmt: skip


def otlp():
    pairs = {"enduser.id": PLANTED["upn"], "host.name": PLANTED["device"], "error.message": TEXT,
             "url.full": PLANTED["query"], "sextant.network": PLANTED["address6"]}  # fmt: skip
    attributes = [{"key": k, "value": {"stringValue": v}} for k, v in pairs.items()]
    record = {"severityNumber": 17, "body": {"stringValue": TEXT}, "attributes": attributes}
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}


def sentry():
    event = {
        "message": TEXT, "user": {"email": PLANTED["mail"], "ip_address": PLANTED["address"]},
        "contexts": {"device": {"name": PLANTED["device"]}},
        "request": {"url": PLANTED["query"], "headers": {"Cookie": "canarycookie"}},
    }  # fmt: skip
    return b'{}\n{"type":"event"}\n' + json.dumps(event).encode()


def ecs():
    return {
        "event": {"outcome": "failure"}, "error": {"message": TEXT},
        "user": {"id": PLANTED["upn"], "name": PLANTED["name"]},
        "host": {"name": PLANTED["device"]},
        "source": {"ip": PLANTED["address"]}, "url": {"full": PLANTED["query"]},
    }  # fmt: skip


async def knock(context, client):
    """Plant the canaries by every door that people's errors come in by."""
    trusted = {"authorization": f"Bearer {await key(context, 'reports:write', 'intake:write')}"}
    public = await key(context, "reports:public")
    doors = [
        ("/v1/client-reports", [report(n) for n in range(30)], "application/json", trusted),
        ("/v1/otlp/v1/logs", otlp(), "application/json", trusted),
        ("/v1/intake/ecs", ecs(), "application/json", trusted),
        ("/v1/intake/sentry", sentry(), "application/x-sentry-envelope", trusted),
        (f"/v1/intake/browser?key={public}", report(), "text/plain", {}),
        (
            f"/v1/intake/sentry/api/1/envelope/?sentry_key={public}", sentry(), "text/plain", {},
        ),
    ]  # fmt: skip
    for path, body, media, headers in doors:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await client.post(
            path, content=content, headers={**headers, "content-type": media}
        )
        assert answer.status_code in {200, 202}, (path, answer.text)
    for path in ("/report", f"/report/{public}"):
        page = await client.get(path)
        token = re.search(r'name="csrf" value="([^"]+)"', page.text)[1]
        form = {"csrf": token, "product": "outlook", "trouble": "message", "message": TEXT,
                "who": PLANTED["name"], "site": PLANTED["address"]}  # fmt: skip
        answer = await client.post(
            path, content=urlencode(form),
            headers={"content-type": "application/x-www-form-urlencoded"},
        )  # fmt: skip
        assert answer.status_code == 303
    # What is refused must not come back into a log either.
    await client.post("/v1/client-reports", content=json.dumps({**report(), "x": 1}).encode(),
                      headers={**trusted, "content-type": "application/json"})  # fmt: skip
    return trusted


def everything(database):
    """Every value of every table, the packed ones opened."""
    found = []
    for name in inspect(database.engine).get_table_names():
        rows = database.read_now(lambda c, n=name: c.execute(text(f"SELECT * FROM {n}")).all())
        found += [repr(value).encode() for row in rows for value in row]
        found += [
            bytes(value) for row in rows for value in row if isinstance(value, bytes | memoryview)
        ]
    records = database.read_now(lambda c: store.after(c, TENANT, 0, 0, 10_000))
    return found + [repr(record.signals).encode() for record in records]


async def test_no_canary_is_in_any_table_log_or_event(context, client, caplog):
    caplog.set_level(logging.DEBUG)
    await knock(context, client)
    for minute in range(8):
        context.clock.at = NOW + timedelta(minutes=minute)
        await context.fold.step(TENANT)
    values = everything(context.db)
    assert len(values) > 200
    assert any(b"AADSTS50196" in value for value in values)  # the texts are there, without people
    assert [value[:400] for value in values if TRACES.search(value)] == []
    lines = [JsonLines().format(record) for record in caplog.records]
    assert [line for line in lines if TRACES.search(line.encode())] == []


async def test_what_the_api_and_the_console_show_holds_no_canary(context, client):
    await knock(context, client)
    for minute in range(8):
        context.clock.at = NOW + timedelta(minutes=minute)
        await context.fold.step(TENANT)
    reader = {"authorization": f"Bearer {await key(context, 'admin')}"}
    listed = (await client.get("/v1/incidents", headers=reader)).json()["items"]
    assert listed
    paths = ["/v1/incidents", "/v1/events", "/v1/symptoms/unmapped", "/v1/sources", "/metrics", "/"]
    for incident in listed:
        paths += [f"/v1/incidents/{incident['id']}/{part}" for part in ("evidence", "timeline")]
        paths.append(f"/incidents/{incident['id']}")
    for path in paths:
        answer = await client.get(path, headers=reader)
        assert answer.status_code == 200, path
        assert not TRACES.search(answer.content), path
