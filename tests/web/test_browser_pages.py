"""Every page in a real Chromium: on a desk and on a phone, light and dark, by its keys alone."""

import asyncio
import os
import re
import struct
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from app.core.types import TenantId
from app.flow import keys
from tests import builders
from tests.web.chromium import DESK, LOOKS, PHONE, Tab, tab
from tests.web.conftest import Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGES = (
    "/",
    "/incidents",
    "/incidents?q=nothing",
    "/incidents/{id}",
    "/incidents/{id}/evidence",
    "/sources",
    "/probes",
    "/tickets",
    "/receivers",
    "/receivers/{receiver}",
    "/deliveries/{delivery}",
    "/audit",
    "/report",
    "/replays",
    "/status",
    "/status/incidents/{number}",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def window(browser: Browser, site: Site) -> AsyncIterator[Tab]:
    """One window for all pages: a profile of its own for each costs as much again."""
    async with tab(browser, site.base) as made:
        yield made


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_sound_in_all_four_looks(window: Tab, site: Site, path: str) -> None:
    outage = {"id": site.outage.id, "number": site.outage.number}
    ids = {**outage, "receiver": site.receiver.id, "delivery": site.delivery.id}
    await window.wear(DESK)
    await window.open(path.format(**ids))
    await window.is_sound()
    for look in LOOKS[1:]:
        await window.wear(look)
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


async def test_who_is_new_knows_all_after_one_click_and_tells_people_after_two(
    browser: Browser, site: Site
) -> None:
    """Who is hit, since when, whose fault, how sure, what do I tell people."""
    async with tab(browser, site.base, PHONE) as at:
        await at.open("/")
        await at.press(site.outage.title, role="link")
        facts = at.page.locator("dl.facts")
        told = {
            await one.locator("dt").inner_text(): await one.locator("dd").first.inner_text()
            for one in await facts.locator("> div").all()
        }
        assert told["Affected"].endswith("reporters")
        assert told["Since"].endswith("min")
        assert told["Origin"] == "Microsoft"
        assert told["Confidence"].endswith("%")
        await at.press("Tell people", role="link")
        words = at.page.locator("#words-users")
        assert await words.is_visible()
        assert await words.evaluate("e => e.getBoundingClientRect().top < innerHeight")
        assert "Affected: e-mail and calendar" in await words.inner_text()


async def test_without_scripts_everything_can_be_read(browser: Browser, site: Site) -> None:
    async with tab(browser, site.base, script=False) as at:
        await at.open("/")
        await at.press(site.outage.title, role="link")
        main = await at.page.inner_text("main")
        assert site.outage.number in main
        for part in ("Why Sextant thinks so", "What Microsoft wrote", "Evidence", "Timeline"):
            assert part.casefold() in main.casefold()
        assert await at.page.locator("svg.lanes.wide .seg.failing").count() > 0


def content(path: os.PathLike[str]) -> Awaitable[bytes]:
    return asyncio.to_thread(Path(path).read_bytes)


async def test_the_picture_is_saved_as_svg_and_as_png(browser: Browser, site: Site) -> None:
    async with tab(browser, site.base) as at:
        await at.open(f"/incidents/{site.outage.id}")
        saved = {}
        for name in ("Save as SVG", "Save as PNG"):
            async with at.page.expect_download() as expected:
                await at.press(name, role="link")
            file = await expected.value
            saved[file.suggested_filename] = await content(await file.path())
        svg, png = saved[f"{site.outage.number}.svg"], saved[f"{site.outage.number}.png"]
        assert svg.startswith(b"<svg ")
        assert png.startswith(b"\x89PNG\r\n")
        wide = int(re.search(rb'width="(\d+)"', svg)[1])
        assert struct.unpack(">I", png[16:20]) == (2 * wide,)
        assert len(set(png)) > 200  # something is drawn
        assert at.complaints == []


async def test_a_change_is_shown_without_a_reload(browser: Browser, site: Site) -> None:
    async with tab(browser, site.base) as at:
        await at.open(f"/incidents/{site.outage.id}")
        await at.page.locator("#live-state[data-kind=on]").wait_for()
        await at.page.evaluate("window.same = true")
        command = builders.a_command(
            name="assign", incident=site.outage.id, body={"assignee": "Ada"}
        )
        await site.context.fold.command(TenantId("contoso"), command)
        await at.page.locator("#actions summary", has_text="now Ada").wait_for(state="attached")
        assert await at.page.evaluate("window.same")


async def test_the_board_is_narrowed_and_says_what_it_hides(browser: Browser, site: Site) -> None:
    async with tab(browser, site.base) as at:
        await at.open("/")
        assert "3 of 3 locations fail: berlin" in await at.page.inner_text(".why")
        await at.page.locator("summary", has_text="Filter").click()
        await at.page.get_by_label("Severity", exact=True).select_option("minor")
        await at.press("Filter")
        await at.page.wait_for_url("**severity=minor*")
        assert "1 more open incident is hidden" in await at.page.inner_text("main")
        assert await at.page.get_by_role("link", name=site.outage.title).count() == 0
        await at.press("Show all", role="link")
        await at.page.locator("summary", has_text="Filter").click()
        await at.page.get_by_label("Words", exact=True).fill("exchange")
        await at.page.keyboard.press("Enter")
        await at.page.wait_for_url("**q=exchange*")
        assert await at.page.locator("tbody tr").count() == 1


async def test_a_closed_console_asks_for_a_key_in_all_four_looks(
    browser: Browser, site: Site
) -> None:
    made = await keys.create(
        site.context.db, tenant="contoso", name="Ada", scopes=("incidents:read",),
        now=site.context.clock.now(),
    )  # fmt: skip
    site.context.open_console = False
    try:
        async with tab(browser, site.base) as at:
            await at.open(f"/incidents/{site.outage.id}")
            for look in LOOKS:
                await at.wear(look)
                await at.is_sound()
            await at.page.get_by_label("API key").fill(made.secret)
            await at.press("Sign in")
            await at.page.wait_for_url(f"**/incidents/{site.outage.id}")
            assert await at.page.get_by_role("button", name="Acknowledge").count() == 0
            await at.press("Sign out")
            await at.page.wait_for_url("**/login")
    finally:
        site.context.open_console = True
