"""Signing in at a provider: code flow with PKCE, from the button to the session and out again."""

import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette

from app.api.app import add_routes, create_api
from app.bootstrap import Context, build
from app.flow import keys
from app.flow.tokens import Tokens
from app.kit.clock import FixedClock
from app.settings import Settings
from app.store import audit
from app.store.engine import Database
from app.store.keys import Bounds
from app.web.routes import create_router
from tests.builders import NOW
from tests.standins.ca import create
from tests.standins.issuer import Issuer, new_key
from tests.standins.server import serving

URL = "https://sextant.example"
KEYS = {"one": new_key()}


@pytest.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[Issuer]:
    files = create(tmp_path / "ca")
    made = Issuer(keys=KEYS)
    async with serving(Starlette(routes=made.routes()), files) as root:
        made.root = root.replace("127.0.0.1", "localhost")
        at = int(NOW.timestamp())
        made.person = {
            "iss": made.issuer, "aud": "api://sextant", "azp": "console", "scp": "access",
            "sub": "anna", "name": "Anna", "roles": ["operate"], "iat": at, "exp": at + 3600,
        }  # fmt: skip
        yield made


@pytest.fixture
def context(sqlite_database: Database, issuer: Issuer, tmp_path: Path) -> Context:
    settings = Settings.model_validate(
        {
            "server": {"public_url": URL},
            "tenants": [{"id": "contoso"}, {"id": "fabrikam"}, {"id": "third"}],
            "issuers": [
                {
                    "name": "entra",
                    "issuer": issuer.issuer,
                    "audiences": ["api://sextant"],
                    "ca_file": tmp_path / "ca" / "ca.pem",
                    "delegated_scope": "access",
                    "subject_claim": "sub",
                    "grants": [
                        {"role": "operate", "tenants": ["contoso"], "scopes": ["incidents:write"]},
                        {"role": "operate", "tenants": ["fabrikam"], "scopes": ["incidents:read"]},
                        {"role": "send", "tenants": ["contoso"], "scopes": ["reports:write"]},
                    ],
                    "sign_in": {
                        "client_id": "console",
                        "client_secret": "a secret",
                        "scope": "openid api://sextant/access",
                        "label": "Sign in with Entra",
                    },
                }
            ],
        }
    )
    made = build(settings, sqlite_database)
    made.clock = FixedClock(NOW)
    made.tokens = Tokens(settings.issuers, made.clock, provider=_provider(made.tokens))
    return made


def _provider(tokens: Tokens) -> Any:
    return lambda issuer: tokens.sign_ins[issuer.name][1]


@pytest.fixture
def api(context: Context) -> FastAPI:
    made = create_api(context)
    add_routes(made, create_router().routes)
    return made


@pytest.fixture
async def browser(api: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url=URL) as made:
        yield made


async def at_provider(issuer: Issuer, address: str, tmp_path: Path) -> dict[str, str]:
    """What the provider sends the browser back with."""
    trust = ssl.create_default_context(cafile=str(tmp_path / "ca" / "ca.pem"))
    async with httpx.AsyncClient(verify=trust, trust_env=False) as http:
        answer = await http.get(address)
    assert answer.status_code == 302, answer.text
    back = urlsplit(answer.headers["location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == f"{URL}/login/entra/back"
    return {name: values[0] for name, values in parse_qs(back.query).items()}


async def begin(browser: httpx.AsyncClient, issuer: Issuer, tmp_path: Path) -> dict[str, str]:
    page = await browser.get("/login?next=/incidents")
    assert 'href="/login/entra?next=/incidents"' in page.text
    sent = await browser.get("/login/entra", params={"next": "/incidents"})
    assert sent.status_code == 303
    return await at_provider(issuer, sent.headers["location"], tmp_path)


async def test_a_person_signs_in_and_acts_where_it_was_granted(
    browser: httpx.AsyncClient, issuer: Issuer, context: Context, tmp_path: Path
) -> None:
    assert (await browser.get("/incidents")).status_code == 303
    back = await begin(browser, issuer, tmp_path)
    done = await browser.get("/login/entra/back", params=back)
    assert (done.status_code, done.headers["location"]) == (303, "/incidents"), done.text
    cookies = "; ".join(done.headers.get_list("set-cookie"))
    assert "HttpOnly" in cookies
    assert "Secure" in cookies
    page = await browser.get("/incidents")
    assert page.status_code == 200
    assert "fabrikam" in page.text
    assert "third" not in page.text
    again = await browser.get("/login/entra/back", params=back)
    assert again.status_code == 403  # a code is good once
    context.clock.at = NOW + timedelta(hours=13)  # type: ignore[attr-defined]
    assert (await browser.get("/incidents")).status_code == 303


async def test_what_was_not_begun_here_is_not_ended_here(
    browser: httpx.AsyncClient, api: FastAPI, issuer: Issuer, context: Context, tmp_path: Path
) -> None:
    back = await begin(browser, issuer, tmp_path)
    wrong = {**back, "state": "x" * 32}
    assert (await browser.get("/login/entra/back", params=wrong)).status_code == 403
    transport = httpx.ASGITransport(api)
    async with httpx.AsyncClient(transport=transport, base_url=URL) as victim:
        assert (await victim.get("/login/entra/back", params=back)).status_code == 403
    context.clock.at = NOW + timedelta(minutes=11)  # type: ignore[attr-defined]
    assert (await browser.get("/login/entra/back", params=back)).status_code == 403
    assert (await browser.get("/login/nobody")).status_code == 404


@pytest.mark.parametrize(
    "change",
    [{"roles": []}, {"roles": ["send"]}, {"aud": "api://other"}, {"exp": 1}, {"scp": "openid"}],
)
async def test_who_was_granted_nothing_stays_outside(
    browser: httpx.AsyncClient, issuer: Issuer, tmp_path: Path, change: dict[str, Any]
) -> None:
    issuer.person |= change
    back = await begin(browser, issuer, tmp_path)
    refused = await browser.get("/login/entra/back", params=back)
    assert refused.status_code == 403
    assert "sextant_session" not in refused.headers.get("set-cookie", "")
    assert (await browser.get("/incidents")).status_code == 303


async def test_a_provider_that_is_down_is_a_page(
    browser: httpx.AsyncClient, issuer: Issuer
) -> None:
    issuer.broken = True
    answer = await browser.get("/login/entra")
    assert answer.status_code == 503
    assert "text/html" in answer.headers["content-type"]


async def test_an_operator_of_some_tenants_sees_no_other_at_the_console(
    browser: httpx.AsyncClient, context: Context
) -> None:
    made = await keys.create(
        context.db, tenant="contoso,fabrikam", name="o", scopes=["incidents:read"], now=NOW
    )
    token = (await browser.get("/login")).text.split('name="csrf" value="')[1].split('"')[0]
    body = {"csrf": token, "key": made.secret, "next": "/"}
    assert (await browser.post("/login", data=body)).status_code == 303
    browser.cookies.set("sextant_tenant", "third", domain="sextant.example")
    page = await browser.get("/incidents")
    assert page.status_code == 200
    assert "third" not in page.text
    assert context.db.read_now(lambda c: audit.page(c, None, limit=5)) == []


async def test_a_session_stays_in_the_networks_of_its_key_and_guesses_are_counted(
    api: FastAPI, context: Context
) -> None:
    bounds = Bounds(networks=("192.0.2.0/24",))
    made = await keys.create(
        context.db, tenant="contoso", name="anna", scopes=("admin",), now=NOW, bounds=bounds
    )
    homes = [httpx.ASGITransport(api, client=(a, 1)) for a in ("192.0.2.7", "198.51.100.7")]
    async with (
        httpx.AsyncClient(transport=homes[0], base_url=URL) as inside,
        httpx.AsyncClient(transport=homes[1], base_url=URL) as outside,
    ):
        page = (await inside.get("/login")).text
        form = {"csrf": page.split('name="csrf" value="')[1].split('"')[0], "key": made.secret}
        await inside.post("/login", data=form)
        assert (await inside.get("/")).status_code == 200
        outside.cookies = inside.cookies
        assert (await outside.get("/")).status_code == 303
        tries = [(await outside.post("/login", data=form)).status_code for _ in range(21)]
        assert tries == [403] * 20 + [429]
