"""The status page in a real Chromium: on a desk and on a phone, light and dark, without scripts."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.web.chromium import LOOKS, Tab, tab
from tests.web.conftest import Site

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=LOOKS, ids=lambda look: look.name
)
async def window(
    browser: Browser, site: Site, request: pytest.FixtureRequest
) -> AsyncIterator[Tab]:
    """One window of each look."""
    async with tab(browser, site.base, request.param) as made:
        yield made


@pytest.mark.parametrize("path", ["/status", "/status/incidents/{number}"])
async def test_a_page_is_sound(window: Tab, site: Site, path: str) -> None:
    await window.open(path.format(number=site.outage.number))
    await window.is_sound()
