"""A real Chromium before a served application, and what every page must hold in it."""

import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, Page, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = (
    "NO CHROMIUM: the pages were NOT tested in a browser. "
    f"Install one of {', '.join(NAMES)} (Debian: apt-get install chromium)."
)
PATIENCE = 10_000  # milliseconds, of a machine under load
PAGE_BYTES = 100_000  # most of one page, as it is sent

Scheme = Literal["light", "dark"]


@dataclass(frozen=True, slots=True)
class Look:
    """A size and a scheme of colours; ``rules`` of axe, none: all of them."""

    name: str
    width: int
    height: int
    scheme: Scheme
    rules: tuple[str, ...] = ()


DESK = Look("desk", 1400, 900, "light")
# What the dark and a phone can change; names and roles are the same as on the desk.
DARK = Look("desk", 1400, 900, "dark", rules=("color-contrast",))
POCKET = Look("phone", 390, 844, "light", rules=("color-contrast", "target-size", "meta-viewport"))
PHONE = Look("phone", 390, 844, "dark", rules=("color-contrast", "target-size"))
LOOKS = (DESK, DARK, POCKET, PHONE)


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """The installed Chromium; without one the tests are skipped, and on CI they fail."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    rooted = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path, args=[*rooted, "--disable-gpu", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Tab:
    """One page of the browser, and everything that it must not do."""

    page: Page
    base: str
    look: Look
    complaints: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        self.page.on(
            "console",
            lambda said: self.complaints.append(said.text) if said.type == "error" else None,
        )
        self.page.on(
            "request",
            lambda asked: (
                None
                if asked.url.startswith((self.base, "blob:", "data:"))
                else self.complaints.append(f"asks elsewhere: {asked.url}")
            ),
        )

    async def open(self, path: str) -> None:
        """Go to a page of ours, and measure it."""
        answer = await self.page.goto(self.base + path)
        assert answer is not None
        self.sizes[path] = len(await answer.body())
        await self._shoot()

    async def wear(self, look: Look) -> None:
        """Show the same page in another size and scheme: cheaper than to load it anew."""
        self.look = look
        await self.page.set_viewport_size({"width": look.width, "height": look.height})
        await self.page.emulate_media(color_scheme=look.scheme, reduced_motion="reduce")
        await self._shoot()

    async def _shoot(self) -> None:
        if place := os.environ.get("SCREENSHOTS"):
            path = self.page.url.removeprefix(self.base)
            name = re.sub(r"\W+", "-", path).strip("-") or "board"
            shot = Path(place) / f"{name}-{self.look.name}-{self.look.scheme}.png"
            await self.page.screenshot(path=shot, full_page=True)

    async def press(self, name: str, *, role: Literal["button", "link"] = "button") -> None:
        """Press what carries a name, as a person would."""
        await self.page.get_by_role(role, name=name, exact=True).first.click()

    async def focused(self) -> str:
        """The words of what has the focus."""
        words: str = await self.page.evaluate("document.activeElement.textContent.trim()")
        return words

    async def is_sound(self, *, but: tuple[str, ...] = ("-",)) -> None:
        """Nothing was refused or asked of others, no sideways scrolling, and axe finds nothing."""
        complaints = [one for one in self.complaints if not one.startswith(but)]
        assert complaints == [], complaints
        over = await self.page.evaluate(OVERFLOW)
        assert over == [], f"{self.page.url} is wider than the window: {over}"
        found = await faults(self.page, self.look.rules)
        assert found == [], json.dumps(found, indent=1)
        for path, size in self.sizes.items():
            assert size < PAGE_BYTES, f"{path} has {size} bytes"


OVERFLOW = """() => {
  const room = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= room) return [];
  return [...document.querySelectorAll('body *')]
    .filter((e) => e.getBoundingClientRect().right > room + 1)
    .map((e) => e.tagName + '.' + (e.getAttribute('class') || '')).slice(0, 8);
}"""


async def faults(page: Page, rules: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """What axe finds by its rules of WCAG 2.2 AA and best practice: rule, impact, elements."""
    source = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
    await page.evaluate(source)
    options: dict[str, Any] = {
        "resultTypes": ["violations"],
        "rules": {"target-size": {"enabled": True}},
    }
    if rules:
        options["runOnly"] = list(rules)
    found = await page.evaluate("(options) => axe.run(document, options)", options)
    return [
        {
            "rule": fault["id"],
            "impact": fault["impact"],
            "at": [node["html"][:200] for node in fault["nodes"]][:4],
            "why": fault["nodes"][0]["failureSummary"],
        }
        for fault in found["violations"]
    ]


@asynccontextmanager
async def tab(
    browser: Browser, base: str, look: Look = DESK, *, script: bool = True
) -> AsyncIterator[Tab]:
    """A fresh browser profile with one page in it."""
    context = await browser.new_context(
        viewport={"width": look.width, "height": look.height},
        color_scheme=look.scheme,
        java_script_enabled=script,
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE)
    try:
        made = Tab(await context.new_page(), base, look)
        yield made
    finally:
        await context.close()
