"""Every page in a real Chromium: on a desk and on a phone, light and dark, by its keys alone."""

import pytest
from playwright.async_api import Browser

from tests.web.chromium import DESK, LOOKS, Look, tab
from tests.web.conftest import Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGES = ("/", "/incidents", "/incidents/{id}", "/sources", "/report", "/incidents?q=nothing")


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_sound(browser: Browser, site: Site, path: str, look: Look) -> None:
    async with tab(browser, site.base, look) as at:
        await at.open(path.format(id=site.outage.id))
        await at.is_sound()
