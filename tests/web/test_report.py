"""The form *Report a problem*: without script, by its address or signed in."""

import re
from urllib.parse import urlencode

import httpx
import pytest

from app.api.app import add_routes, create_api
from app.bootstrap import build
from app.flow import keys
from app.kit.clock import FixedClock
from app.settings import Settings
from app.store import intake
from app.web.pages.report import PRODUCTS, TROUBLES
from app.web.routes import create_router
from tests.builders import NOW, TENANT

BASE = "http://127.0.0.1:8000"


@pytest.fixture
def context(sqlite_database):
    tenants = [{"id": TENANT, "name": "Contoso"}]
    made = build(Settings.model_validate({"tenants": tenants}), sqlite_database)
    made.clock = made.doors.foreign._clock = FixedClock(NOW)
    return made


@pytest.fixture
async def browser(context):
    api = create_api(context)
    add_routes(api, create_router().routes)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url=BASE) as client:
        yield client


@pytest.fixture
async def address(context):
    made = await keys.create(
        context.db, tenant=TENANT, name="form", scopes=["reports:public"], now=NOW
    )
    return f"/report/{made.secret}"


def stored(context):
    rows = context.db.read_now(lambda c: intake.after(c, TENANT, 0, 0, 100))
    return [signal for row in rows for signal in row.signals]


async def fill(browser, path, **fields):
    page = await browser.get(path)
    assert page.status_code == 200, page.text
    token = re.search(r'name="csrf" value="([^"]+)"', page.text)[1]
    return await browser.post(
        path,
        content=urlencode({"csrf": token, **fields}),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )


async def test_a_user_reports_in_two_choices(context, browser, address):
    answer = await fill(browser, address, product="outlook", trouble="password")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{address}?sent=1")
    thanks = await browser.get(answer.headers["location"])
    assert 'role="status"' in thanks.text
    assert "do not approve a sign-in" in thanks.text
    assert "<form" not in thanks.text.partition("<main")[2]
    assert f'href="{address}">Report something else' in thanks.text
    assert 'href="/status"' not in thanks.text
    (report,) = stored(context)
    assert (report.service, report.client) == ("exchange-online", "outlook_desktop")
    assert report.symptom == "auth_loop"


async def test_what_an_error_says_is_read_and_scrubbed(context, browser, address):
    text = "BootResult: fail\nerr: x\nst: 503\nfrom anna@contoso.example"
    await fill(browser, address, product="outlook-web", trouble="message", message=text)
    (report,) = stored(context)
    assert (report.symptom, report.fine) == ("http_5xx", "server_error")
    assert "anna" not in report.message


@pytest.mark.parametrize("product", [one[0] for one in PRODUCTS])
async def test_every_choice_makes_a_report_that_is_taken(context, browser, address, product):
    context.doors.quota._addresses._rate = 0
    for trouble, _, symptom in TROUBLES:
        answer = await fill(browser, address, product=product, trouble=trouble, code=f"x{trouble}")
        assert answer.status_code == 303, trouble
        assert stored(context)[-1].symptom == (symptom or "other")


async def test_what_is_missing_is_said_and_the_rest_is_kept(context, browser, address):
    answer = await fill(browser, address, product="teams", message='<b>"x"</b>')
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert "&lt;b&gt;" in answer.text
    assert re.search(r'value="teams" required\s+checked', answer.text)
    assert "<title>Error: Report a problem" in answer.text
    assert stored(context) == []


async def test_the_help_desk_names_who_has_it_and_two_people_count_as_two(context, browser):
    for who in ("anna", "anna", "bert", ""):
        answer = await fill(
            browser, "/report", product="outlook", trouble="slow", who=who, site="berlin-office"
        )
        assert answer.headers["location"] == "/report?sent=1"
        context.clock.at = context.clock.now().replace(second=context.clock.now().second + 1)
    reports = stored(context)
    assert len({report.actor for report in reports}) == 3
    assert {report.network for report in reports} == {"berlin-office"}


async def test_an_address_of_no_key_or_a_revoked_one_is_not_found(context, browser, address):
    made = await keys.create(context.db, tenant=TENANT, name="x", scopes=["admin"], now=NOW)
    for path in ("/report/nonsense", f"/report/{made.secret}"):
        assert (await browser.get(path)).status_code == 404
    listed = context.db.read_now(lambda c: keys.keys.page(c, TENANT, after=None, limit=10))
    key_id = next(key.id for key in listed if key.name == "form")
    await keys.revoke(context.db, tenant=None, key_id=key_id, now=NOW)
    assert (await browser.get(address)).status_code == 404


async def test_a_form_without_its_token_or_too_often_is_refused(context, browser, address):
    bare = await browser.post(
        address,
        content="product=outlook&trouble=slow",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert bare.status_code == 403
    context.doors.quota._most = 2
    for number in range(2):
        await fill(browser, address, product="outlook", trouble="slow", code=str(number))
    busy = await fill(browser, address, product="outlook", trouble="slow", code="x")
    assert busy.status_code == 429
    assert "Too many reports" in busy.text


async def test_the_page_is_accessible(browser, address):
    page = (await browser.get(address)).text
    assert '<html lang="en">' in page
    assert 'name="viewport"' in page
    assert page.count("<h1") == 1
    assert page.count("<fieldset") == page.count("<legend") == 2
    for control in re.findall(r'<(?:input|textarea)[^>]* id="([^"]+)"', page):
        assert f'for="{control}"' in page, control
    for hint in re.findall(r'aria-describedby="([^"]+)"', page):
        assert f'id="{hint}"' in page, hint
    for radio in re.findall(r"(<label[^>]*>)<input type=\"radio\"", page):
        assert "choice" in radio
    assert "<script" not in page.replace('<script src="/static/live.js', "")


async def test_codes_that_nobody_knows_are_on_the_page_of_the_sources(context, browser, address):
    assert "nobody knows" not in (await browser.get("/sources")).text
    await fill(browser, address, product="outlook", trouble="message", code="<0xDEAD0001>")
    await context.fold.step(TENANT)
    page = (await browser.get("/sources")).text
    assert "<code>&lt;0xDEAD0001&gt;</code>" in page
