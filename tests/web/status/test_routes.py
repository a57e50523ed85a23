"""The status page from outside: who sees it, what is on it, and what never is."""

from datetime import timedelta

import pytest

from app.core.incident import Impact
from app.core.types import ImpactLevel, Origin, Resolution, Status
from app.flow import keys
from app.store import incidents
from app.web.status.words import read_words
from tests.builders import NOW, TENANT
from tests.web.status.stage import (
    LATER,
    NUMBER,
    SECRETS,
    a_context,
    an_outage,
    browser_of,
    json_of,
    keep,
    keep_advisory,
    keep_outage,
    keep_window,
)

FILES = ("summary.json", "api/v2/summary.json", "api/v2/incidents.json", "feed.atom",
         "incidents.ics", "badge.svg", f"incidents/{NUMBER}")  # fmt: skip


@pytest.fixture
def context(sqlite_database):
    return a_context(sqlite_database)


@pytest.fixture
async def browser(context):
    async with browser_of(context) as client:
        yield client


async def test_an_empty_page_says_that_nothing_is_known(browser) -> None:
    page = await browser.get("/status")
    assert page.status_code == 200
    assert "Nothing is known yet" in page.text
    assert "All services work" not in page.text
    assert json_of(await browser.get("/status/summary.json"))["status"] == {
        "indicator": "minor", "description": "State Partly Unknown",
    }  # fmt: skip
    assert "Unknown" in (await browser.get("/status/badge.svg")).text


async def test_nothing_goes_out_that_was_not_released(browser, context) -> None:
    await keep_outage(context)
    await keep_window(context, minutes=60)
    for path in ("", *(f"/{name}" for name in FILES)):
        answer = await browser.get(f"/status{path}")
        assert answer.status_code == 200
        said = answer.text.lower()
        assert [word for word in SECRETS if word.lower() in said] == [], path
        assert "4 users" not in said
        assert "reported" not in said


async def test_what_was_released_is_there_in_plain_words(browser, context) -> None:
    await keep_outage(context)
    for page in ("/status", f"/status/incidents/{NUMBER}"):
        text = (await browser.get(page)).text
        assert "Exchange Online: error messages and repeated sign-in prompts" in text
        assert "We ask you to use &lt;Outlook on the web&gt; &amp; wait." in text
        assert "A fix is under way." in text
        assert "Some people are affected." in text
        assert "The fault lies with Microsoft." in text
        assert text.count("We have confirmed a problem") == 1
        assert NOW.strftime("%H:%M UTC") in text


@pytest.mark.parametrize(("people", "told"), [(4, ""), (5, "5 or more"), (412, "200 or more")])
def test_people_are_counted_in_bands_and_never_below_five(people, told) -> None:
    impact = Impact(level=ImpactLevel.MANY, reporters=people, reports=people)
    said = read_words("en").summary_of(an_outage(impact=impact))
    assert f"{told} people have reported it." in said if told else "reported" not in said


async def test_what_is_not_confirmed_is_not_told(browser, context) -> None:
    hidden = (
        {"status": Status.SUSPECTED, "confirmed_at": None},
        {"status": Status.DISMISSED, "confirmed_at": None},
        {"suppressed": "mw_1"},
        {"status": Status.MERGED, "merged_into": "inc_9"},
    )
    for place, changes in enumerate(hidden):
        number = f"INC-2026-000{place}"
        await keep(context, an_outage(id=f"inc_{place}", number=number, **changes))
    assert "INC-2026" not in (await browser.get("/status")).text
    for place in range(len(hidden)):
        answer = await browser.get(f"/status/incidents/INC-2026-000{place}")
        assert answer.status_code == 404


async def test_only_what_carries_a_public_note_is_told_where_that_is_wanted(
    sqlite_database,
) -> None:
    status = {"access": "public", "release": "noted"}
    context = a_context(sqlite_database, {"id": TENANT, "status": status})
    async with browser_of(context) as browser:
        await keep_outage(context)
        await keep(context, an_outage(id="inc_2", number="INC-2026-0002"))
        page = (await browser.get("/status")).text
    assert NUMBER in page
    assert "INC-2026-0002" not in page


async def test_how_it_ended_is_told_and_attacks_are_not(browser, context) -> None:
    await keep_outage(
        context, status=Status.RESOLVED, resolution=Resolution.CUSTOMER_FIX,
        origin=Origin.IDENTITY, resolved_at=NOW + timedelta(minutes=20),
    )  # fmt: skip
    text = (await browser.get(f"/status/incidents/{NUMBER}")).text
    assert "We have fixed the problem." in text
    assert "identity" not in text
    page = (await browser.get("/status")).text
    assert NUMBER in page.partition("The last 30 days")[2]


async def test_a_merged_incident_leads_to_the_one_that_goes_on(browser, context) -> None:
    await keep_outage(context)
    merged = an_outage(
        id="inc_2", number="INC-2026-0002", status=Status.MERGED, merged_into="inc_1"
    )
    await keep(context, merged)
    answer = await browser.get("/status/incidents/INC-2026-0002")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/status/incidents/{NUMBER}"


async def test_services_stand_as_on_the_board_and_unknown_looks_unknown(browser, context) -> None:
    await keep_outage(context)
    await keep_advisory(context, service="microsoft-teams", service_name="Teams")
    page = (await browser.get("/status")).text
    assert "Some services are failing" in page
    assert 'class="partial_outage"' in page
    summary = json_of(await browser.get("/status/summary.json"))
    states = {one["name"]: one["status"] for one in summary["components"]}
    assert states["Exchange Online"] == "partial_outage"
    assert "operational" not in states.values()


async def test_planned_work_is_told_without_its_title(browser, context) -> None:
    await keep_window(context, minutes=60)
    await keep_window(context, minutes=70, locations=frozenset({"berlin"}))
    page = (await browser.get("/status")).text
    assert page.count("Planned work: Exchange Online") == 1
    assert "16 March 2026, 07:30 UTC" in page


async def test_pages_are_cached_briefly_and_known_again(browser, context) -> None:
    await keep_outage(context)
    for path in ("", *(f"/{name}" for name in FILES)):
        first = await browser.get(f"/status{path}")
        assert first.headers["cache-control"].startswith("public, max-age=15")
        etag = first.headers["etag"]
        again = await browser.get(f"/status{path}", headers={"if-none-match": f'"x", W/{etag}'})
        assert (again.status_code, again.content) in ((304, b""), (200, again.content))
        assert "set-cookie" not in first.headers
    for name in ("summary.json", "feed.atom", "badge.svg", "incidents.ics"):
        first = await browser.get(f"/status/{name}")
        again = await browser.get(
            f"/status/{name}", headers={"if-none-match": first.headers["etag"]}
        )
        assert (again.status_code, again.content) == (304, b"")
        assert first.headers["access-control-allow-origin"] == "*"
        assert first.headers["cross-origin-resource-policy"] == "cross-origin"


async def test_a_crowd_of_readers_is_one_reader_of_the_store(browser, context) -> None:
    await keep_outage(context)
    await browser.get("/status")
    await context.db.write(lambda c: incidents.put(c, [an_outage(title="x", services=())]))
    assert "Exchange Online" in (await browser.get("/status")).text


async def test_pages_hold_nothing_that_the_policy_forbids(browser, context) -> None:
    await keep_outage(context)
    page = await browser.get("/status")
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert " style=" not in page.text
    assert "<script>" not in page.text
    assert len(page.content) < 60_000


async def test_behind_a_sign_in_nobody_else_reads_it(sqlite_database) -> None:
    context = a_context(sqlite_database, {"id": TENANT})
    context.open_console = False
    await keep_outage(context)
    made = await keys.create(
        context.db, tenant=TENANT, name="feed", scopes=["incidents:read"], now=LATER
    )
    weak = await keys.create(
        context.db, tenant=TENANT, name="weak", scopes=["reports:write"], now=LATER
    )
    async with browser_of(context) as browser:
        page = await browser.get("/status")
        assert page.headers["location"] == "/login?next=/status"
        assert (await browser.get("/status/feed.atom")).status_code == 401
        wrong = await browser.get("/status/feed.atom", headers={"authorization": "Bearer x"})
        assert wrong.status_code == 401
        bare = await browser.get(
            "/status/feed.atom", headers={"authorization": f"Bearer {weak.secret}"}
        )
        assert bare.status_code == 404
        feed = await browser.get(
            "/status/feed.atom", headers={"authorization": f"Bearer {made.secret}"}
        )
        assert feed.status_code == 200
        assert feed.headers["cache-control"] == "private, no-cache"
        assert "access-control-allow-origin" not in feed.headers


async def test_several_tenants_have_no_page_until_they_want_one(sqlite_database) -> None:
    context = a_context(sqlite_database, {"id": TENANT}, {"id": "fabrikam"})
    async with browser_of(context) as browser:
        for path in ("/status", "/status/summary.json", f"/status/tenants/{TENANT}",
                     "/status/tenants/nobody/summary.json"):  # fmt: skip
            assert (await browser.get(path)).status_code == 404


async def test_each_tenant_has_its_own_page_and_no_other(sqlite_database) -> None:
    public = {"access": "public"}
    context = a_context(
        sqlite_database,
        {"id": TENANT, "status": public},
        {"id": "fabrikam", "name": "Fabrikam", "status": public},
    )
    await keep_outage(context)
    async with browser_of(context) as browser:
        assert (await browser.get("/status")).status_code == 404
        mine = await browser.get(f"/status/tenants/{TENANT}")
        assert f'href="/status/tenants/{TENANT}/incidents/{NUMBER}"' in mine.text
        one = await browser.get(f"/status/tenants/{TENANT}/incidents/{NUMBER}")
        assert one.status_code == 200
        theirs = await browser.get("/status/tenants/fabrikam/api/v2/incidents.json")
        assert json_of(theirs)["incidents"] == []
        other = await browser.get(f"/status/tenants/fabrikam/incidents/{NUMBER}")
        assert other.status_code == 404


async def test_a_badge_says_so_when_nothing_can_be_read(browser, context) -> None:
    context.db.close()
    answer = await browser.get("/status/badge.svg")
    assert answer.status_code == 200
    assert "Unknown" in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert (await browser.get("/status")).status_code == 503


async def test_who_reported_is_led_to_what_is_known(browser, context) -> None:
    made = await keys.create(
        context.db, tenant=TENANT, name="form", scopes=["reports:public"], now=LATER
    )
    page = await browser.get(f"/report/{made.secret}?sent=1")
    assert 'href="/status">What is known already' in page.text
