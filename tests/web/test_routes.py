"""The console from outside: pages, sign-in, forms, headers."""

import json
import re
import struct
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import httpx
import pytest
from fastapi import FastAPI

from app.api.app import add_routes, create_api
from app.bootstrap import Context, build
from app.core.incident import Impact, LinkedAdvisory, Note
from app.core.types import IncidentId, Status
from app.flow import keys
from app.kit.clock import FixedClock
from app.settings import Settings
from app.settings.model import TenantSettings
from app.store import advisories, audit, events, evidence, incidents
from app.store.engine import Database
from app.web.reading import change_mark
from app.web.routes import create_router
from tests import builders
from tests.builders import NOW, TENANT
from tests.web import story

INCIDENT = "/incidents/inc_1"


@pytest.fixture
def context(sqlite_database: Database) -> Context:
    settings = Settings(tenants=(TenantSettings(id="contoso", name="Contoso <&>"),))
    made = build(settings, sqlite_database)
    made.clock = FixedClock(NOW + timedelta(minutes=30))
    made.fold._clock = made.clock
    return made


def serve(context: Context) -> FastAPI:
    api = create_api(context)
    add_routes(api, create_router().routes)
    return api


@pytest.fixture
async def browser(context: Context) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(serve(context))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        yield client


async def with_incident(context: Context) -> None:
    advisory = builders.an_advisory(
        vendor_id=story.EX,
        title="Mail <b>down</b>",
        posts=(builders.a_post(html="<p>We see <b>503</b>.</p>"),),
    )
    linked = LinkedAdvisory(
        id=story.EX, title=advisory.title, classification="incident", status=advisory.status,
        condition="degraded", published_at=NOW, started_at=NOW, is_resolved=False,
    )  # fmt: skip
    incident = builders.an_incident(
        title='Mail <script>alert("x")</script>',
        impact=Impact(reporters=7, reports=19),
        advisories=(linked,),
        notes=(Note(at=NOW, by="anna", text="<i>Told</i> the desk", visibility="internal"),),
    )
    event = builders.an_event(incident=incident, sequence=9_000)  # out of the way of the fold
    body = json.dumps(story.events(story.at("06:08"))[0]).encode()

    def work(c) -> None:
        incidents.put(c, [incident])
        events.append(c, [(event, body)])
        evidence.put(c, TENANT, {"inc_1": evidence.encode(story.evidence(story.at("07:00")))})
        advisories.upsert(c, TENANT, advisory, None, 1)

    await context.db.write(work)


def token_of(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


async def a_key(context: Context, scope: str, *, tenant: str = "contoso") -> str:
    made = await keys.create(
        context.db, tenant=tenant, name="anna", scopes=(scope,), now=context.clock.now()
    )
    return made.secret


async def post(client: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    return await client.post(
        path, content=urlencode(fields),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )  # fmt: skip


async def test_an_empty_board_says_what_to_do_next(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/")
    assert page.status_code == 200
    assert "sextant keys create" in page.text
    assert "/v1/client-reports" in page.text
    assert "Contoso &lt;&amp;&gt;" in page.text


async def test_pages_forbid_what_is_not_ours(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/")
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert page.headers["cache-control"] == "no-store"
    assert not re.search(r"\sstyle=|<style|\son\w+=|<script>", page.text)
    assert not re.search(r"""(src|href)="(?!/|#)""", page.text)


@pytest.mark.parametrize("path", ["/", INCIDENT, "/incidents"])
async def test_words_of_others_are_shown_as_words(
    browser: httpx.AsyncClient, context: Context, path: str
) -> None:
    await with_incident(context)
    page = await browser.get(path)
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert "Mail &lt;script&gt;" in page.text


async def test_an_incident_shows_its_three_lanes_and_its_reasons(
    browser: httpx.AsyncClient, context: Context
) -> None:
    await with_incident(context)
    page = (await browser.get(INCIDENT)).text
    assert page.count('class="lanes') == 2
    assert "<p>We see <b>503</b>.</p>" in page
    assert "Mail &lt;b&gt;down" in page
    assert "&lt;i&gt;Told&lt;/i&gt; the desk" in page
    assert "berlin · owa-front-door" in page


async def test_an_unknown_incident_is_a_page_that_says_so(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/incidents/inc_none")
    assert page.status_code == 404
    assert "Back to the board" in page.text


async def test_the_list_is_filtered(browser: httpx.AsyncClient, context: Context) -> None:
    await with_incident(context)
    assert "INC-2026-0001" in (await browser.get("/incidents?severity=major")).text
    assert "No incident matches" in (await browser.get("/incidents?severity=minor")).text
    assert "INC-2026-0001" in (await browser.get("/incidents?status=nonsense&extra=1")).text


async def test_older_incidents_follow_on_the_next_page(
    browser: httpx.AsyncClient, context: Context
) -> None:
    many = [
        builders.an_incident(
            id=f"inc_{n:03}", number=f"INC-2026-{n:04}", at=NOW - timedelta(minutes=n)
        )
        for n in range(60)
    ]
    await context.db.write(lambda c: incidents.put(c, many))
    first = (await browser.get("/incidents")).text
    assert "INC-2026-0049" in first
    assert "INC-2026-0050" not in first
    following = re.search(r'href="(/incidents\?[^"]*after=[^"]+)"', first)
    assert following is not None
    second = (await browser.get(following[1].replace("&amp;", "&"))).text
    assert "INC-2026-0050" in second
    assert "INC-2026-0049" not in second


async def test_sources_are_listed(browser: httpx.AsyncClient, context: Context) -> None:
    page = await browser.get("/sources")
    assert page.status_code == 200
    assert "Client reports" in page.text
    assert "Never read" in page.text


async def test_a_person_acknowledges_notes_and_resolves(
    browser: httpx.AsyncClient, context: Context
) -> None:
    await with_incident(context)
    token = token_of(await browser.get(INCIDENT))
    done = await post(browser, f"{INCIDENT}/acknowledge", csrf=token)
    assert (done.status_code, done.headers["location"]) == (
        303, f"{INCIDENT}?done=acknowledge",
    )  # fmt: skip
    done = await post(browser, f"{INCIDENT}/notes", csrf=token, text="Looking\r\ninto it")
    assert done.status_code == 303
    done = await post(browser, f"{INCIDENT}/resolve", csrf=token, resolution="rollback")
    assert done.status_code == 303
    incident = await context.db.read(lambda c: incidents.get(c, TENANT, "inc_1"))
    assert incident is not None
    assert incident.status is Status.RESOLVED
    assert incident.acknowledged_by == "console"
    assert incident.notes[-1].text == "Looking\ninto it"
    again = await post(browser, f"{INCIDENT}/acknowledge", csrf=token)
    assert again.status_code == 409
    assert "That is not possible now" in again.text


async def test_a_form_without_its_token_changes_nothing(
    browser: httpx.AsyncClient, context: Context
) -> None:
    await with_incident(context)
    await browser.get(INCIDENT)
    for fields in ({}, {"csrf": "wrong"}):
        assert (await post(browser, f"{INCIDENT}/acknowledge", **fields)).status_code == 403
    incident = await context.db.read(lambda c: incidents.get(c, TENANT, "inc_1"))
    assert incident is not None
    assert incident.acknowledged_at is None


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("notes", {"text": " "}),
        ("notes", {"text": "x" * 4001}),
        ("resolve", {"resolution": "?"}),
        ("assign", {"assignee": ""}),
        ("severity", {"severity": "major"}),
        ("severity", {"severity": "worst", "reason": "so"}),
        ("reopen", {}),
        ("dismiss", {"resolution": "not_ours"}),
        ("merge", {"into": ""}),
        ("merge", {"into": "inc_1"}),
        ("split", {}),
        ("pin", {"item": "EX1"}),
        ("unpin", {}),
    ],
)
async def test_a_form_that_makes_no_sense_is_refused(
    browser: httpx.AsyncClient, context: Context, path: str, fields: dict[str, str]
) -> None:
    await with_incident(context)
    token = token_of(await browser.get(INCIDENT))
    assert (await post(browser, f"{INCIDENT}/{path}", csrf=token, **fields)).status_code == 422


async def test_only_forms_of_reasonable_size_are_read(
    browser: httpx.AsyncClient, context: Context
) -> None:
    await with_incident(context)
    await browser.get(INCIDENT)
    assert (await browser.post(f"{INCIDENT}/acknowledge", json={})).status_code == 422
    long = await post(browser, f"{INCIDENT}/notes", text="x" * 70_000)
    assert long.status_code == 413


async def test_an_open_console_is_not_reached_by_a_rebound_name(
    browser: httpx.AsyncClient,
) -> None:
    page = await browser.get("/", headers={"host": "evil.example"})
    assert page.status_code == 403


async def test_a_closed_console_asks_for_a_key(
    browser: httpx.AsyncClient, context: Context
) -> None:
    context.open_console = False
    await with_incident(context)
    page = await browser.get(INCIDENT)
    assert page.headers["location"] == "/login?next=/incidents/inc_1"
    assert (await browser.get("/live")).status_code == 204
    token = token_of(await browser.get("/login?next=/incidents/inc_1"))
    refused = await post(browser, "/login", csrf=token, key="sxt_key_wrong", next=INCIDENT)
    assert refused.status_code == 403
    secret = await a_key(context, "incidents:read")
    done = await post(browser, "/login", csrf=token, key=secret, next=INCIDENT)
    assert (done.status_code, done.headers["location"]) == (303, INCIDENT)
    cookie = done.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    page = await browser.get(INCIDENT)
    assert page.status_code == 200
    assert "Acknowledge</button>" not in page.text
    assert (await post(browser, f"{INCIDENT}/acknowledge", csrf=token)).status_code == 403
    assert (await post(browser, "/logout", csrf=token)).status_code == 303
    assert (await browser.get("/")).status_code == 303


async def test_a_key_of_another_tenant_sees_nothing_of_this_one(
    browser: httpx.AsyncClient, context: Context
) -> None:
    context.open_console = False
    await with_incident(context)
    token = token_of(await browser.get("/login"))
    secret = await a_key(context, "admin", tenant="fabrikam")
    await post(browser, "/login", csrf=token, key=secret, next="/")
    assert (await browser.get(INCIDENT)).status_code == 404
    assert "INC-2026-0001" not in (await browser.get("/")).text
    assert (await browser.get("/tenant?id=contoso")).status_code == 404


async def test_a_key_that_may_not_read_opens_nothing(
    browser: httpx.AsyncClient, context: Context
) -> None:
    context.open_console = False
    token = token_of(await browser.get("/login"))
    secret = await a_key(context, "reports:write")
    assert (await post(browser, "/login", csrf=token, key=secret)).status_code == 403


async def test_a_revoked_key_ends_its_session(browser: httpx.AsyncClient, context: Context) -> None:
    context.open_console = False
    token = token_of(await browser.get("/login"))
    now = context.clock.now()
    made = await keys.create(
        context.db, tenant="contoso", name="anna", scopes=("incidents:write",), now=now
    )
    await post(browser, "/login", csrf=token, key=made.secret)
    assert (await browser.get("/")).status_code == 200
    await keys.revoke(context.db, tenant=None, key_id=made.key.id, now=now)
    assert (await browser.get("/")).status_code == 303


async def test_static_files_are_served_for_long(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/")
    paths = re.findall(r'"(/static/[^"]+)"', page.text)
    assert len(paths) >= 4
    for path in paths:
        file = await browser.get(path)
        assert file.status_code == 200
        assert "immutable" in file.headers["cache-control"]
    assert (await browser.get("/static/routes.py")).status_code == 404


async def test_an_unknown_command_is_a_page_that_leads_back(
    browser: httpx.AsyncClient, context: Context
) -> None:
    await with_incident(context)
    token = token_of(await browser.get(INCIDENT))
    page = await post(browser, f"{INCIDENT}/explode", csrf=token)
    assert page.status_code == 404
    assert f'href="{INCIDENT}"' in page.text


async def test_a_form_is_audited_under_the_word_of_the_api(
    browser: httpx.AsyncClient, context: Context
) -> None:
    await with_incident(context)
    token = token_of(await browser.get(INCIDENT))
    await post(browser, f"{INCIDENT}/severity", csrf=token, severity="minor", reason="A few")
    entries = await context.db.read(lambda c: audit.page(c, (TENANT,), limit=5))
    assert [(e.action, e.actor_kind) for e in entries] == [("set_incident_severity", "console")]


async def test_an_operator_sees_no_small_group_of_a_tenant(
    browser: httpx.AsyncClient, context: Context
) -> None:
    await with_incident(context)
    known = list(story.evidence(story.at("07:00"))["cells"])
    small = next(c for c in known if c["source"] == "client_report") | {
        "id": "cell_small", "reporters": 2, "region": "zz",
    }  # fmt: skip
    document = evidence.encode({"advisories": [], "cells": [*known, small]})
    await context.db.write(lambda c: evidence.put(c, TENANT, {"inc_1": document}))
    assert 'id="cell_small"' in (await browser.get(f"{INCIDENT}/evidence")).text
    context.open_console = False
    token = token_of(await browser.get("/login"))
    secret = await a_key(context, "admin", tenant="*")
    await post(browser, "/login", csrf=token, key=secret, next="/")
    page = (await browser.get(f"{INCIDENT}/evidence")).text
    assert 'id="cell_small"' not in page
    assert "1 group of fewer than five people" in page
    assert 'class="samples" id="x-cell_small"' not in page


async def test_the_picture_is_a_file_that_needs_no_style_sheet(
    browser: httpx.AsyncClient, context: Context
) -> None:
    await with_incident(context)
    file = await browser.get(f"{INCIDENT}/picture.svg")
    assert file.headers["content-type"].startswith("image/svg+xml")
    assert "class=" not in file.text
    assert "style" not in file.text
    root = ET.fromstring(file.text)
    words = "".join(root.itertext())
    assert "INC-2026-0001" in words
    assert 'Mail <script>alert("x")</script>' in words


async def test_the_picture_is_made_for_messages_that_show_no_svg(context: Context) -> None:
    await with_incident(context)
    file = await context.portraits.draw(TENANT, IncidentId("inc_1"), "png") or b""
    assert file.startswith(b"\x89PNG\r\n")
    assert struct.unpack(">II", file[16:24]) > (2000, 800)


async def test_the_mark_moves_with_the_fold(browser: httpx.AsyncClient, context: Context) -> None:
    await with_incident(context)
    before = await context.db.read(lambda c: change_mark(c, TENANT))
    token = token_of(await browser.get(INCIDENT))
    await post(browser, f"{INCIDENT}/acknowledge", csrf=token)
    after = await context.db.read(lambda c: change_mark(c, TENANT))
    assert before != after
