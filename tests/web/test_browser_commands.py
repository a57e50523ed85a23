"""Every command of the incident page, given by a person in a real Chromium."""

import pytest
from playwright.async_api import Browser

from app.core.incident import Incident
from app.core.types import Status, TenantId
from app.store import incidents
from tests.web.chromium import DESK, PHONE, Tab, tab
from tests.web.conftest import Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

TENANT = TenantId("contoso")


async def stands(site: Site, incident: str) -> Incident:
    found = await site.context.db.read(lambda c: incidents.get(c, TENANT, incident))
    assert found is not None
    return found


async def unfold(at: Tab, name: str) -> None:
    await at.page.locator("summary", has_text=name).click()


async def test_a_person_does_all_there_is_to_do(browser: Browser, site: Site) -> None:
    """One incident's life, without scripts: what a form does must not hang on them."""
    page, known = f"/incidents/{site.outage.id}", site.outage.id
    async with tab(browser, site.base, DESK, script=False) as at:
        await at.open(page)
        await at.press("Acknowledge")
        assert "Acknowledged by console." in await at.page.inner_text("[role=status].flash")

        await at.page.get_by_label("Note", exact=True).fill("Looking\ninto it")
        await at.page.get_by_label("public", exact=True).check()
        await at.press("Add note")

        words = await at.page.inner_text("#words-users")
        await at.press("Let this out to Users")
        assert "Let out" in await at.page.inner_text("[role=status].flash")
        assert (await stands(site, known)).approvals[-1].text == words

        await unfold(at, "Assign")
        await at.page.get_by_label("To whom").fill("Ada")
        await at.press("Assign")
        assert (await stands(site, known)).assignee_name == "Ada"
        await unfold(at, "Assign")
        await at.press("To nobody")

        await unfold(at, "Set severity")
        await at.page.get_by_label("Severity", exact=True).select_option("minor")
        await at.page.get_by_label("Why needed unless the engine decides").fill("A few only")
        await at.press("Set severity")

        await unfold(at, "Resolve by hand")
        await at.page.get_by_label("How it ended", exact=True).select_option("rollback")
        await at.press("Resolve incident")
        resolved = await stands(site, known)
        await at.page.get_by_label("Why it goes on").fill("It is back")
        await at.press("Reopen incident")

        await at.page.locator("#timeline li.updated button", has_text="Undo").first.click()
        assert "It stays undone" in await at.page.inner_text("[role=status].flash")

    after = await stands(site, known)
    assert (resolved.status, after.status) == (Status.RESOLVED, Status.CONFIRMED)
    assert after.acknowledged_by == "console"
    assert (after.assignee_name, after.severity.word) == (None, "critical")
    assert (after.notes[-1].text, after.notes[-1].visibility) == ("Looking\ninto it", "public")


async def test_evidence_is_split_off_and_merged_back(browser: Browser, site: Site) -> None:
    async with tab(browser, site.base, PHONE) as at:
        await at.open(f"/incidents/{site.outage.id}")
        await unfold(at, "Split off evidence")
        boxes = at.page.locator("#act-split input[type=checkbox]")
        assert await boxes.count() > 3
        await boxes.nth(1).check()
        await at.page.locator("#split-title").fill("Another fault")
        await at.is_sound()
        await at.press("Split")
        await at.page.wait_for_url("**done=split")

        await unfold(at, "Merge into another")
        await at.press("Merge")
        await at.page.wait_for_url("**done=merge")
        assert "takes no more commands" in await at.page.inner_text("#actions")
        gone = await stands(site, site.outage.id)
        assert gone.status is Status.MERGED
        other = await stands(site, str(gone.merged_into))
        assert other.title == "Another fault"

        await at.open(f"/incidents/{other.id}")
        await unfold(at, "Dismiss")
        await at.page.get_by_label("Why", exact=True).fill("A drill")
        await at.press("Dismiss incident")
        await at.page.wait_for_url("**done=dismiss")
        assert (await stands(site, other.id)).status is Status.DISMISSED
