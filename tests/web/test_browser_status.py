"""The exported status page and a replay in a real Chromium."""

from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import Browser

from app.api.picture import Pictures
from app.kit.clock import SystemClock
from app.web.status.export import export
from app.web.status.reading import Sources, read_status
from app.web.status.site import Look
from app.web.status.site import Site as StatusSite
from tests.web.chromium import DESK, PHONE, Tab, tab
from tests.web.conftest import Site

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def exported(site: Site, place: Path, age: timedelta) -> str:
    """Export the page as if so long ago, and give the address of the directory."""
    context = site.context
    tenant = context.settings.tenants[0]
    sources = Sources(db=context.db, clock=context.clock, pictures=Pictures(context))
    look = Look(
        live=False, root="", address="", made_at=SystemClock().now() - age, renewed_seconds=60
    )
    views = await read_status(sources, tenant)
    export(StatusSite(views=views, settings=tenant.status, look=look), place)
    return place.as_uri()


async def test_an_exported_page_says_its_age_when_nothing_serves_it(
    browser: Browser, site: Site, tmp_path: Path
) -> None:
    base = await exported(site, tmp_path / "out", timedelta(hours=3, minutes=20))
    words = "made 3 hours ago and has not been renewed"
    async with tab(browser, base, DESK) as at:
        await at.page.goto(f"{base}/index.html")
        assert words in await at.page.inner_text("#age")
        assert await at.page.locator("html.aged").count() == 1
        brand = "getComputedStyle(document.querySelector('.head')).backgroundColor"
        assert await at.page.evaluate(brand) == "rgb(21, 50, 76)"  # its own style sheets are read
        await at.page.get_by_role("link", name="Exchange Online").first.click()
        await at.page.wait_for_url("**/incidents/*.html")
        assert words in await at.page.inner_text("#age")
        assert at.complaints == []


async def test_without_scripts_the_time_stands_there(
    browser: Browser, site: Site, tmp_path: Path
) -> None:
    base = await exported(site, tmp_path / "out", timedelta(days=2))
    async with tab(browser, base, DESK, script=False) as at:
        await at.page.goto(f"{base}/index.html")
        assert await at.page.inner_text("#age") == "As of 16 March 2026, 06:13 UTC"
        assert site.outage.number in await at.page.content()


async def test_a_replay_is_asked_for_followed_and_shown(browser: Browser, site: Site) -> None:
    async with tab(browser, site.base, PHONE) as window:
        await _replayed(window, site)


async def _replayed(window: Tab, site: Site) -> None:
    await window.open("/replays")
    await window.page.get_by_label("Independent groups of evidence that confirm").fill("50")
    await window.press("Replay")
    await window.page.wait_for_url("**/replays/rfd_*")
    assert "waits for its turn" in await window.page.inner_text("main")
    await site.context.refolds.step()
    await window.page.get_by_role("heading", name="Side by side").wait_for()
    await window.open(window.page.url.removeprefix(window.base))
    assert "50 instead of 2" in await window.page.inner_text("main")
    await window.is_sound()
