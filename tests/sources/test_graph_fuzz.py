"""Mutated pages: nothing crashes, nothing unsafe is kept, and what is lost is counted.

``FUZZ_PAGES`` sets how many; the seed of each page is its number, so a failure names its page.
"""

import copy
import json
import os
import random
import re
from collections import Counter
from typing import Any

import httpx
import pytest

from app.clients.budget import Budget
from app.clients.graph import GraphClient
from app.core.ports import SourceUnreadable
from app.kit.windows import Limits
from app.sources.graph import GraphSettings, GraphSource, Translator
from tests.builders import NOW
from tests.standins.graph import recorded_issues

PAGES = int(os.environ.get("FUZZ_PAGES", "500"))
BATCH = 100
SETTINGS = GraphSettings(tenant_id="t", client_id="c", credential={"secret": "s"})
STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**63, 1e308, "", " ", "null", "0001-01-01T00:00:00Z", "yesterday",
    "9999-12-31T23:59:59.9999999Z", "2026-02-30T00:00:00Z", "\x00\x07", "\u202e", "\ud83d",
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>",
    '<a href="javascript:alert(1)">x</a>', "<iframe srcdoc='<script>x</script>'>", "<!--", "]]>",
    "&lt;script&gt;alert(1)&lt;/script&gt;", "x" * 20_000, "<" * 3_000, "Title:" * 500,
    [], {}, [None], [[[[]]]], {"a": {"b": []}}, [1, "2"], {"content": "<script>y()</script>"},
)  # fmt: skip
UNSAFE = re.compile(
    r"<\s*(?:script|iframe|svg|img|style|object|embed|link|meta|form|input)\b"
    r"|<[^>]*\son\w+\s*=|(?:href|src)\s*=\s*[\"']?\s*(?:javascript|data|vbscript):",
    re.IGNORECASE,
)


class Tokens:
    async def get(self) -> str:
        return "token"

    async def drop(self, claims: str | None = None) -> None:
        """Nothing is held."""


def mutated(rng: random.Random) -> bytes:
    """One page of recorded issues, with between one and twenty things wrong."""
    page: Any = {"@odata.context": "x", "value": copy.deepcopy(recorded_issues())}
    for _ in range(rng.randrange(1, 20)):
        _mutate(page, rng)
    text = json.dumps(page).encode()
    if rng.random() < 0.25:
        text = _broken(text, rng)
    return text


def _mutate(page: Any, rng: random.Random) -> None:
    """Walk down at random and change what is there."""
    node = page
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = rng.choice(keys)
        below = node[key]
        if isinstance(below, dict | list) and below and rng.random() < 0.85:
            node = below
            continue
        act = rng.randrange(5)
        if act == 0:
            del node[key]
        elif act == 1 and isinstance(node, dict):
            node[str(key).swapcase()] = node.pop(key)
        elif act == 2 and isinstance(node, list):
            node.append(copy.deepcopy(below))
        elif act == 3 and isinstance(below, str) and isinstance(node, dict):
            node[key] = (
                below[: len(below) // 2] + str(rng.choice(STRANGE)) + below[len(below) // 2 :]
            )
        else:
            node[key] = copy.deepcopy(rng.choice(STRANGE))
        return


def _broken(text: bytes, rng: random.Random) -> bytes:
    cut = rng.randrange(len(text))
    return rng.choice(
        (
            text[:cut],
            text[:cut] + bytes([rng.randrange(256)]) + text[cut + 1 :],
            text[:cut] + text[cut + rng.randrange(1, 40) :],
            b"\xef\xbb\xbf" + text,
            json.dumps(text.decode()).encode(),
            text + text,
            b"",
        )
    )


async def read(source: GraphSource, page: bytes, box: list[bytes]) -> tuple[int, int]:
    """Read one page as the only one; advisories and unreadable records."""
    box[:] = [page]
    made = await source.read(known_open=[], full=False, now=NOW)
    for advisory in made.advisories:
        for post in advisory.posts:
            assert not UNSAFE.search(post.html), post.html
            assert "\x00" not in post.text
        assert len(advisory.title) < 100_000
        assert advisory.vendor_id in made.raw
    assert len(made.unreadable_why) == made.unreadable  # each is named …
    assert max((len(why) for _, why in made.unreadable_why), default=0) <= 200  # … in short
    return len(made.advisories), made.unreadable


@pytest.mark.parametrize("batch", range(0, PAGES, BATCH))
async def test_mutated_pages_do_no_harm(batch: int) -> None:
    box: list[bytes] = [b""]

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=box[0])

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    client = GraphClient(
        lambda: http,
        Tokens(),
        base_url="https://g.test",
    )
    budget = Budget("share", Limits(10**9, 10**9), lambda: NOW)
    source = GraphSource(client, SETTINGS, budget=budget, translator=Translator(size=50))
    good = lost = 0
    codes: Counter[str] = Counter()
    for number in range(batch, min(batch + BATCH, PAGES)):
        page = mutated(random.Random(number))
        try:
            found, unreadable = await read(source, page, box)
        except SourceUnreadable as error:
            codes[error.code] += 1
            continue
        good, lost = good + found, lost + unreadable
    assert good > 0
    assert lost > 0
    assert codes["odd_body"] > 0
    assert set(codes) <= {"odd_body", "foreign_link", "endless", "vendor_error"}


def test_the_judge_knows_what_is_unsafe() -> None:
    bad = [text for text in STRANGE if isinstance(text, str) and UNSAFE.search(text)]
    assert len(bad) == 5
    assert not UNSAFE.search('<p>a &lt;script&gt; <a href="https://x.test/">b</a></p>')


async def test_a_record_that_is_no_object_is_counted_too() -> None:
    box = [b'{"value": [1, null, "x", [], {"id": "EX1"}]}']
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=box[0]))
    http = httpx.AsyncClient(transport=transport)
    client = GraphClient(lambda: http, Tokens(), base_url="https://g.test")
    source = GraphSource(client, SETTINGS, budget=Budget("share", Limits(99, 99), lambda: NOW))
    assert await read(source, box[0], box) == (0, 5)
