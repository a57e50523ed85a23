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


async def undo(at: Tab) -> None:
    """Take the newest back that can be."""
    await at.page.locator("#timeline button", has_text="Undo").first.click()
    await at.page.wait_for_url("**done=undo*")
    assert "It stays undone" in await at.page.inner_text("[role=status].flash")


async def test_a_person_does_all_there_is_to_do(browser: Browser, site: Site) -> None:
    """Each command of one incident, and each taken back, without scripts."""
    page, known = f"/incidents/{site.outage.id}", site.outage.id
    async with tab(browser, site.base, DESK, script=False) as at:
        await at.open(page)
        await at.press("Acknowledge")
        assert "Acknowledged by console." in await at.page.inner_text("[role=status].flash")
        assert (await stands(site, known)).acknowledged_by == "console"
        await undo(at)
        assert (await stands(site, known)).acknowledged_by is None

        await at.page.get_by_label("Note", exact=True).fill("Looking\ninto it")
        await at.page.get_by_label("public", exact=True).check()
        await at.press("Add note")
        (note,) = (await stands(site, known)).notes
        assert (note.text, note.visibility) == ("Looking\ninto it", "public")
        await undo(at)
        assert (await stands(site, known)).notes == ()
        assert "taken back" in await at.page.inner_text("#timeline")

        words = await at.page.inner_text("#words-users")
        await at.press("Let this out to Users")
        assert "Let out" in await at.page.inner_text("[role=status].flash")
        assert (await stands(site, known)).approvals[-1].text == words

        await unfold(at, "Assign")
        await at.page.get_by_label("To whom").fill("Ada")
        await at.press("Assign")
        assert (await stands(site, known)).assignee_name == "Ada"
        await undo(at)
        assert (await stands(site, known)).assignee_name is None

        await unfold(at, "Set severity")
        await at.page.get_by_label("Severity", exact=True).select_option("minor")
        await at.page.get_by_label("Why needed unless the engine decides").fill("A few only")
        await at.press("Set severity")
        assert (await stands(site, known)).severity.word == "minor"
        await undo(at)
        assert (await stands(site, known)).severity.word == "critical"

        (post,) = site.outage.advisories
        for button, pins in ((f"Pin {post.id}", (post.id,)),
                             (f"{post.id} does not belong here", (f"-{post.id}",))):  # fmt: skip
            await at.press(button)
            assert (await stands(site, known)).pins == pins
            await undo(at)
            back = await stands(site, known)
            assert ([one.id for one in back.advisories], back.pins) == ([post.id], ())


async def test_what_was_ended_by_a_person_goes_on(browser: Browser, site: Site) -> None:
    page, known = f"/incidents/{site.outage.id}", site.outage.id
    async with tab(browser, site.base, DESK, script=False) as at:
        await at.open(page)
        for command, ended in (("Resolve", Status.RESOLVED), ("Dismiss", Status.DISMISSED)):
            await unfold(at, command)
            if command == "Resolve":
                await at.page.get_by_label("How it ended", exact=True).select_option("rollback")
            else:
                await at.page.get_by_label("Why", exact=True).fill("A drill")
            await at.press(f"{command} incident")
            assert (await stands(site, known)).status is ended
            await undo(at)
            assert (await stands(site, known)).status is Status.CONFIRMED

        await unfold(at, "Resolve by hand")
        await at.press("Resolve incident")
        await at.page.get_by_label("Why it goes on").fill("It is back")
        await at.press("Reopen incident")
        assert (await stands(site, known)).status is Status.CONFIRMED


async def test_evidence_is_split_off_and_merged_back(browser: Browser, site: Site) -> None:
    async with tab(browser, site.base, PHONE) as at:
        await at.open(f"/incidents/{site.outage.id}")
        await _split(at)
        await undo(at)
        assert await at.page.get_by_text("Merge into another").count() == 0  # there is one again
        await _split(at)
        await at.is_sound()

        await _merge(at)
        gone = await stands(site, site.outage.id)
        assert gone.status is Status.MERGED
        assert "takes no more commands" in await at.page.inner_text("#actions")
        other = await stands(site, str(gone.merged_into))
        assert other.title == "Another fault"
        await undo(at)
        assert (await stands(site, site.outage.id)).status is Status.CONFIRMED
        assert (await stands(site, other.id)).status is not Status.MERGED


async def _split(at: Tab) -> None:
    await unfold(at, "Split off evidence")
    boxes = at.page.locator("#act-split input[type=checkbox]")
    assert await boxes.count() > 3
    await boxes.nth(1).check()
    await at.page.locator("#split-title").fill("Another fault")
    await at.press("Split")
    await at.page.wait_for_url("**done=split")


async def _merge(at: Tab) -> None:
    await unfold(at, "Merge into another")
    await at.press("Merge")
    await at.page.wait_for_url("**done=merge")
