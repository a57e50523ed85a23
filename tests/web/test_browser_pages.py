"""Every page in a real Chromium: on a desk and on a phone, light and dark, by its keys alone."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.web.chromium import LOOKS, Tab, tab
from tests.web.conftest import Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGES = ("/", "/incidents", "/incidents/{id}", "/sources", "/report", "/incidents?q=nothing")


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=LOOKS, ids=lambda look: look.name
)
async def window(
    browser: Browser, site: Site, request: pytest.FixtureRequest
) -> AsyncIterator[Tab]:
    """One window of each look for all pages: a profile of its own for each costs as much again."""
    async with tab(browser, site.base, request.param) as made:
        yield made


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_sound(window: Tab, site: Site, path: str) -> None:
    await window.open(path.format(id=site.outage.id))
    await window.is_sound()


async def test_an_incident_is_reached_by_keys_alone(browser: Browser, site: Site) -> None:
    async with tab(browser, site.base) as at:
        await at.open("/")
        keyboard = at.page.keyboard
        await keyboard.press("Tab")
        assert await at.focused() == "Skip to content"
        await keyboard.press("Enter")
        for _ in range(20):
            await keyboard.press("Tab")
            if await at.focused() == site.outage.title:
                break
        ring = "getComputedStyle(document.activeElement).outlineStyle"
        assert await at.page.evaluate(ring) == "solid"
        await keyboard.press("Enter")
        await at.page.wait_for_url(f"**/incidents/{site.outage.id}")


async def test_without_scripts_everything_can_be_read(browser: Browser, site: Site) -> None:
    async with tab(browser, site.base, script=False) as at:
        await at.open("/")
        await at.press(site.outage.title, role="link")
        main = await at.page.inner_text("main")
        assert site.outage.number in main
        for part in ("Why Sextant thinks so", "What Microsoft wrote", "Evidence", "Timeline"):
            assert part.casefold() in main.casefold()
        assert await at.page.locator("svg.lanes.wide .seg.failing").count() > 0
