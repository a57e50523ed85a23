"""The operator's forms in a real Chromium: ping, redeliver, replay, look at a ticket again."""

import pytest
from playwright.async_api import Browser

from app.core.types import TenantId
from app.store import audit, deliveries, replays, subscriptions
from tests.web.chromium import tab
from tests.web.conftest import Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

TENANT = TenantId("contoso")


async def test_what_an_operator_does_is_done_and_audited(browser: Browser, site: Site) -> None:
    db, receiver = site.context.db, site.receiver.id
    async with tab(browser, site.base) as at:
        await at.open("/receivers")
        await at.press(site.receiver.url, role="link")
        assert "overloaded" in await at.page.inner_text("#deliveries")

        await at.press("Send a ping")
        await at.page.wait_for_url("**/deliveries/*")
        assert "It was not tried yet." in await at.page.inner_text("main")

        await at.open(f"/deliveries/{site.delivery.id}")
        assert "503" in await at.page.inner_text("main")
        await at.press("Redeliver")
        await at.page.wait_for_load_state()

        await at.open(f"/receivers/{receiver}")
        await at.page.get_by_label("From, UTC").fill("2026-03-16T05:00")
        await at.page.get_by_label("Until, UTC").fill("2026-03-16T06:00")
        await at.press("Replay")
        await at.page.wait_for_url("**#replays")
        assert "Planning" in await at.page.inner_text("#replays")
        await at.press("Cancel this replay")
        await at.page.locator("#replays", has_text="Cancelled").wait_for()

        await at.open("/tickets")
        assert "A person closed the ticket" in await at.page.inner_text("main")
        await at.press("Look at INC0010001 again now")
        await at.page.wait_for_url("**/tickets")

        await at.open("/audit")
        assert "resync link" in await at.page.inner_text("#audit")

    found = await db.read(lambda c: deliveries.get(c, TENANT, site.delivery.id))
    assert found is not None
    assert found[0].state == "pending"
    assert found[0].due_at != site.delivery.due_at
    (job,) = await db.read(lambda c: replays.page(c, receiver, after=None, limit=5))
    assert job.state == "cancelled"
    entries = await db.read(lambda c: audit.page(c, (TENANT,), limit=10))
    assert [entry.action for entry in reversed(entries)] == [
        "test_subscription", "redeliver", "replay_window", "cancel_replay", "resync_link",
    ]  # fmt: skip


async def test_a_receiver_is_made_changed_paused_and_deleted_without_scripts(
    browser: Browser, site: Site
) -> None:
    async with tab(browser, site.base, script=False) as at:
        await at.open("/receivers")
        await at.page.locator("summary", has_text="New receiver").click()
        await at.page.get_by_label("Address").fill("http://10.0.0.1/")
        await at.press("Make receiver")
        assert "not permitted" in await at.page.inner_text("h1")

        await at.open("/receivers")
        await at.page.locator("summary", has_text="New receiver").click()
        await at.page.get_by_label("Address").fill("https://93.184.215.14/hook")
        await at.page.get_by_label("Everything").uncheck()
        await at.page.get_by_label("Incidents", exact=True).check()
        await at.page.get_by_label("From severity").select_option("major")
        await at.page.locator("summary", has_text="Only some services").click()
        await at.page.get_by_label("Microsoft Teams").check()
        await at.press("Make receiver")
        first = await at.page.inner_text("#secret")
        assert first.startswith("whsec_")
        await at.press("Go on to the receiver", role="link")
        assert first not in await at.page.content()
        assert "incident.* · Microsoft Teams · from major" in await at.page.inner_text("main")
        made = at.page.url.rpartition("/")[2]

        await at.page.locator("summary", has_text="Address and what it is told").click()
        await at.page.get_by_label("What it is optional").fill("the pager")
        await at.page.get_by_label("From severity").select_option("")
        await at.press("Save")
        changed = await site.context.subscriptions.get(TENANT, made)
        assert (changed.description, changed.filter.min_severity) == ("the pager", None)
        assert changed.filter.services == ("microsoft-teams",)

        await at.page.locator("summary", has_text="New secret").click()
        await at.press("Make a new secret")
        assert await at.page.inner_text("#secret") not in {"", first}

        await at.open(f"/receivers/{made}")
        await at.press("Pause")
        assert "Disabled" in await at.page.inner_text("#receiver")
        await at.page.locator("summary", has_text="Delete").click()
        await at.press("Delete receiver")
        assert made not in await at.page.content()
        left = await site.context.db.read(lambda c: subscriptions.get(c, TENANT, made))
        assert left is None
