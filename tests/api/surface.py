"""The whole surface: the application as it is served, one of everything, a call of each operation.

The operations come from the document. One that is not in ``CALLS`` makes the tests that are
generated from it fail, so a new one cannot be forgotten.
"""

import asyncio
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from app.api.openapi import operations
from app.bootstrap import create_app
from app.core.types import TenantId
from app.flow import keys
from app.kit.clock import FixedClock
from app.settings import Settings
from app.store import links
from tests.api.test_links import a_link
from tests.builders import NOW, TENANT

OTHER = TenantId("fabrikam")
URL = "http://127.0.0.1:8000"
# Who asks need not say who he is, or proves it by a signature.
OPEN = {"livez", "readyz", "metrics", "public_webhook_keys", "take_hint",
        "take_delivery"}  # fmt: skip
ISSUES = json.loads(Path("tests/fixtures/graph/issues_in_v1_shape.json").read_text())
MAPPER = {
    "name": "cake",
    "fields": [
        {"to": "probe", "path": "/name"},
        {"to": "outcome", "path": "/up", "map": {"yes": "ok"}},
    ],
}
BROWSER = {"message": "503 Service Unavailable", "service": "exchange-online", "http_status": 503}
ALERT = Path("tests/fixtures/monitors/alertmanager_v4_probe_failure_0_34.json")


@dataclass(frozen=True)
class Operation:
    """One operation of the document."""

    name: str
    method: str
    path: str
    scopes: tuple[str, ...]  # any of them opens it

    def address(self, ids: dict[str, str]) -> str:
        """The path with ids in it."""
        return self.path.format_map({**FIXED, **ids})

    @property
    def steps(self) -> frozenset[str]:
        """The names in its path that stand for something of a tenant."""
        named = {part[1:-1] for part in self.path.split("/") if part.startswith("{")}
        return frozenset(named - FIXED.keys())

    @property
    def is_intake(self) -> bool:
        """Whether it takes signals in: the intake log is their record."""
        return self.path.startswith(("/v1/intake/", "/v1/otlp/")) or self.name in {
            "post_client_reports",
            "post_probe_results",
        }


FIXED = {"format": "alertmanager", "mapper": "cake", "key": "core_cake", "project": "1"}
AT = NOW.isoformat()
LATER = (NOW + timedelta(hours=1)).isoformat()
BEFORE = (NOW - timedelta(hours=1)).isoformat()
RESOLVED = {"resolution": "self_restored"}
# What to send so that each operation does what it is for. ``?`` begins a query.
CALLS: dict[str, Any] = {
    "acknowledge_incident": {"note": "seen"},
    "assign_incident": {"assignee": "anna"},
    "approve_message": {"audience": "users", "language": "de"},
    "note_incident": {"text": "a note"},
    "set_incident_severity": {"severity": "major", "reason": "many call"},
    "resolve_incident": RESOLVED,
    "reopen_incident": {"reason": "not over"},
    "dismiss_incident": {"resolution": "not_ours", "reason": "a drill"},
    "merge_incident": {"into": "$other_incident"},
    "split_incident": {"evidence": ["$cell"]},
    "undo_on_incident": {"event": "$undoable"},
    "change_incident": {"labels": {"team": "mail"}},
    "pin_advisory": {"linked": True},
    "unpin_advisory": None,
    "open_incident": {"title": "x", "services": ["viva"], "severity": "minor"},
    "create_key": {"name": "robot", "scopes": ["incidents:read"]},
    "rotate_key": {"overlap_hours": 1},
    "revoke_key": None,
    "create_subscription": {"url": "http://127.0.0.1:9000/"},
    "change_subscription": {"description": "changed"},
    "delete_subscription": None,
    "test_subscription": None,
    "rotate_secret": None,
    "replay_window": {"since": BEFORE, "until": AT},
    "cancel_replay": None,
    "redeliver": None,
    "create_maintenance_window": {"title": "patching", "ends_at": LATER},
    "change_maintenance_window": {"title": "more patching"},
    "end_maintenance_window": None,
    "ask_for_replay": {"since": BEFORE, "until": AT},
    "relearn_signature": {"probe": "owa"},
    "resync_link": None,
    "take_hint": {},
    "take_delivery": {},
    "read_error": {"code": "503"},
    "post_client_reports": {"service": "exchange-online", "http_status": 503},
    "post_probe_results": {"probe": "owa", "outcome": "ok"},
    "post_foreign": json.loads(ALERT.read_text()),
    "post_mapped": {"name": "cake", "up": "yes"},
    "post_gatus_external": "?success=true",
    "post_browser": BROWSER,
    "post_reporting": [],
    "post_envelope": b'{}\n{"type":"event"}\n{"message":"503 Service Unavailable"}\n',
    "post_otlp_logs": {"resourceLogs": []},
    "post_otlp_metrics": {"resourceMetrics": []},
}
MEDIA = {
    "post_reporting": "application/reports+json",
    "post_envelope": "application/x-sentry-envelope",
}


class Apart(httpx.ASGITransport):
    """Gives each request a task of its own, as a server does."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await asyncio.create_task(super().handle_async_request(request))


@dataclass
class Surface:
    """A served application with one of everything, for one tenant."""

    api: FastAPI
    clock: FixedClock
    ids: dict[str, str] = field(default_factory=dict)
    admin: dict[str, str] = field(default_factory=dict)
    admin_key: str = ""

    @property
    def db(self) -> Any:
        """The database."""
        return self.api.state.context.db

    def client(self, address: str = "198.51.100.7") -> httpx.AsyncClient:
        """A client somewhere."""
        transport = Apart(self.api, client=(address, 40_000))
        return httpx.AsyncClient(transport=transport, base_url=URL)

    def operations(self) -> Iterator[Operation]:
        """Every operation of the document."""
        for path, method, found in operations(self.api.openapi()):
            ways = found.get("security", ())
            scopes = tuple(scope for way in ways for scope in way.get("apiKey", ()))
            yield Operation(found["operationId"], method.upper(), path, scopes)

    async def key(self, *scopes: str, tenant: str = TENANT) -> dict[str, str]:
        """Make a key and give the header that carries it."""
        made = await keys.create(
            self.db, tenant=tenant, name="anna", scopes=scopes, now=self.clock.now()
        )
        self.admin_key = made.key.id
        return {"authorization": f"Bearer {made.secret}"}

    async def call(
        self,
        client: httpx.AsyncClient,
        operation: Operation,
        headers: dict[str, str],
        ids: dict[str, str] | None = None,
    ) -> httpx.Response:
        """Call an operation as it is meant to be."""
        known = self.ids if ids is None else ids
        address = operation.address(known)
        sent = dict(headers)
        body = CALLS.get(operation.name) if operation.method != "GET" else None
        content = b""
        if isinstance(body, str):
            address, body = address + body, None
        if body is not None:
            text = body if isinstance(body, bytes) else json.dumps(body).encode()
            for name, value in known.items():
                text = text.replace(f"${name}".encode(), value.encode())
            content = text
            sent["content-type"] = MEDIA.get(operation.name, "application/json")
        if operation.method in {"PUT", "PATCH", "DELETE"}:
            sent.setdefault("if-match", "*")
        if operation.name == "follow_feed":
            address += "?after=no-cursor"  # an open stream would never end
        return await client.request(operation.method, address, content=content, headers=sent)


def served(url: str) -> Surface:
    """The application as ``sextant serve`` makes it, on a clock that stands; no loops run."""
    settings = Settings.model_validate(
        {
            "database": {"url": url},
            "server": {"public_url": URL, "secret_key": "a secret of this installation"},
            "egress": {"allow": [{"cidr": "127.0.0.0/8"}]},
            "tenants": [{"id": TENANT, "name": "Contoso", "users": 500}, {"id": OTHER}],
            "mappers": [MAPPER],
            "limits": {"api_requests_per_second": 0},
            "allow_inline_secrets": True,
            "clock": {"start": NOW, "speed": 0.000001},
        }
    )
    api = create_app(settings, may_migrate=True)
    return Surface(api=api, clock=api.state.context.clock)


async def furnish(surface: Surface) -> Surface:
    """Make one of everything for ``TENANT``."""
    surface.admin = await surface.key("admin")
    context, ids = surface.api.state.context, surface.ids
    async with surface.client() as client:

        async def post(path: str, body: Any) -> dict[str, Any]:
            answer = await client.post(f"/v1{path}", json=body, headers=surface.admin)
            assert answer.is_success, (path, answer.text)
            made: dict[str, Any] = answer.json() if answer.content else {}
            return made

        await post("/intake/graph", ISSUES)
        await post("/probe-results", [
            {"probe": "owa", "location": place, "service": "exchange-online", "outcome": "failed",
             "symptom": "http_5xx", "occurred_at": (NOW - timedelta(minutes=m)).isoformat()}
            for m in range(20) for place in ("berlin", "munich")
        ])  # fmt: skip
        while await context.fold.step(TENANT):
            pass
        subscription = await post("/subscriptions", {"url": "http://127.0.0.1:9000/"})
        ids["subscription_id"] = subscription["id"]
        opened = CALLS["open_incident"]
        ids["incident_id"] = (await post("/incidents", opened))["id"]
        ids["other_incident"] = (await post("/incidents", {**opened, "title": "y"}))["id"]
        ids["third_incident"] = (await post("/incidents", {**opened, "title": "z"}))["id"]
        ids["pinned_incident"] = (await post("/incidents", {**opened, "title": "p"}))["id"]
        await post(f"/incidents/{ids['other_incident']}/acknowledge", {})
        timeline = await client.get(
            f"/v1/incidents/{ids['other_incident']}/timeline", headers=surface.admin
        )
        ids["undoable"] = timeline.json()["items"][-1]["id"]
        ids["window_id"] = (await post("/maintenance-windows", CALLS["create_maintenance_window"]))[
            "id"
        ]
        ids["link_id"] = "lnk_019cf5564e40c865cd6413faf863"
        linked = a_link(id=ids["link_id"], subject=ids["incident_id"], incident=ids["incident_id"])
        context.db.write_now(lambda c: links.add(c, linked))
        ids["key_id"] = (await post("/keys", CALLS["create_key"]))["id"]
        ids["engine_replay"] = (await post("/replays", CALLS["ask_for_replay"]))["id"]
        path = f"/subscriptions/{ids['subscription_id']}/replays"
        ids["subscription_replay"] = (await post(path, CALLS["replay_window"]))["id"]
        listed = (await client.get("/v1/deliveries", headers=surface.admin)).json()["items"]
        ids["delivery_id"] = listed[0]["id"]
        listed = (await client.get("/v1/advisories", headers=surface.admin)).json()["items"]
        ids["advisory_id"] = listed[0]["id"]
        for incident in (await client.get("/v1/incidents", headers=surface.admin)).json()["items"]:
            shown = await client.get(
                f"/v1/incidents/{incident['id']}/evidence", headers=surface.admin
            )
            for cell in shown.json()["cells"]:
                ids.setdefault("cell", cell["id"])
                ids.setdefault("evident_incident", incident["id"])
    return surface


def ids_for(surface: Surface, operation: Operation) -> dict[str, str]:
    """The ids that an operation is to be called with: of two kinds of replays, the right one."""
    ids = dict(surface.ids)
    mine = "/subscriptions/" in operation.path
    ids["replay_id"] = ids["subscription_replay" if mine else "engine_replay"]
    stage = {
        "split_incident": "evident_incident",
        "dismiss_incident": "third_incident",
        "undo_on_incident": "other_incident",
        "pin_advisory": "pinned_incident",  # an advisory that is over takes its incident along
        "unpin_advisory": "pinned_incident",
    }
    if operation.name in stage:
        ids["incident_id"] = ids[stage[operation.name]]
    return ids


# After these nothing more can be done to what they are done to.
LAST = ("pin_advisory", "unpin_advisory", "resolve_incident", "reopen_incident",
        "merge_incident", "cancel_replay",
        "delete_subscription", "end_maintenance_window", "revoke_key")  # fmt: skip


def in_order(found: Iterable[Operation]) -> list[Operation]:
    """Operations such that each can be carried out after those before it."""
    order = {name: number for number, name in enumerate(LAST, 1)}
    return sorted(found, key=lambda operation: order.get(operation.name, 0))


def random_ids(ids: dict[str, str]) -> dict[str, str]:
    """Ids of the same shape that stand for nothing."""
    return {name: value[:-8] + "0badf00d"[: len(value[-8:])] for name, value in ids.items()}
