"""The lanes of the Graph source: open, departed and all issues, complete or not at all."""

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.clients.budget import Budget
from app.clients.graph import GraphClient, VendorError
from app.core.ports import SourceUnreadable
from app.kit.windows import SLOT, Limits
from app.sources.graph import (
    GraphSettings,
    GraphSource,
    Translator,
)
from tests.builders import NOW, minutes

REFUSED = ("secret", "certificate", "managed_identity", "federated_token_file")
FIXTURES = Path(__file__).parent.parent / "fixtures" / "graph"
ISSUES: list[dict[str, Any]] = json.loads((FIXTURES / "issues_in_v1_shape.json").read_text())
BY_ID = {issue["id"]: issue for issue in ISSUES}
DOCS = json.loads((FIXTURES / "msdocs_v1_list_issues.json").read_text())
SETTINGS = {
    "tenant_id": "11111111-1111-1111-1111-111111111111",
    "client_id": "app",
    "credential": {"secret": "s3cret"},
}


def changed(vendor_id: str, **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(BY_ID[vendor_id]), **changes}


class Graph:
    """A Graph that serves what it is given."""

    def __init__(self, *issues: dict[str, Any]) -> None:
        self.issues = {issue["id"]: issue for issue in issues}
        self.extra: list[dict[str, Any]] = []
        self.overviews: list[dict[str, Any]] | VendorError = []
        self.trouble: dict[str, VendorError] = {}
        self.asked: list[str] = []
        self.requests = 0
        self.ahead: timedelta | None = None
        self.now = NOW
        self.budget = Budget("share", Limits(1000, 1000), lambda: self.now)

    async def list(self, path: str, query: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        await self.budget.take()
        self.requests += 1
        lane = "overviews" if "healthOverviews" in path else "open" if query else "all"
        self.asked.append(lane)
        if lane in self.trouble:
            raise self.trouble[lane]
        if lane == "overviews":
            if isinstance(self.overviews, VendorError):
                raise self.overviews
            return self.overviews
        found = [*self.issues.values(), *self.extra]
        return [i for i in found if lane == "all" or i["isResolved"] is False]

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        await self.budget.take()
        self.requests += 1
        vendor_id = path.rsplit("/", 1)[1]
        self.asked.append(vendor_id)
        if vendor_id in self.trouble:
            raise self.trouble[vendor_id]
        if vendor_id not in self.issues:
            raise VendorError("not_found", "gone", status=404)
        return self.issues[vendor_id]


class AsyncTokens:
    async def get(self) -> str:
        return "token"

    async def drop(self, claims: str | None = None) -> None:
        """Nothing is held."""


def source(graph: Graph, **settings: Any) -> GraphSource:
    return GraphSource(graph, GraphSettings(**{**SETTINGS, **settings}), budget=graph.budget)


def an_open(vendor_id: str = "EX1", **changes: Any) -> dict[str, Any]:
    plain = {"isResolved": False, "status": "serviceDegradation", "service": "Exchange Online"}
    return changed("FM298724", id=vendor_id, **{**plain, **changes})


async def test_the_open_lane_asks_by_name_for_what_left() -> None:
    graph = Graph(an_open("EX1"), an_open("EX2", isResolved=True), an_open("EX9", isResolved=True))
    read = await source(graph).read(known_open=["EX3", "EX2", "EX1"], full=False, now=NOW)
    assert graph.asked == ["open", "EX2", "EX3"]
    assert [a.vendor_id for a in read.advisories] == ["EX1", "EX2"]
    assert set(read.raw) == {"EX1", "EX2"}
    assert (read.complete, read.full) == (True, False)
    assert json.loads(read.raw["EX2"])["id"] == "EX2"


async def test_a_full_read_lists_all_and_learns_the_names() -> None:
    graph = Graph(an_open("EX1", service="Drifted"), an_open("EX2", isResolved=True))
    graph.overviews = [{"id": "Exchange", "service": "Drifted"}, {"id": "x"}, {}]
    reader = source(graph)
    read = await reader.read(known_open=[], full=True, now=NOW)
    assert graph.asked == ["all", "overviews"]
    assert (len(read.advisories), read.full) == (2, True)
    assert read.advisories[0].service == "exchange-online"
    graph.overviews = VendorError("unavailable", "busy", status=503)
    again = await reader.read(known_open=[], full=True, now=NOW)
    assert again.advisories[0].service == "exchange-online"


@pytest.mark.parametrize("status", [400, 500])
async def test_a_refused_filter_falls_back_to_the_whole_list(status: int) -> None:
    graph = Graph(an_open("EX1"))
    graph.trouble["open"] = VendorError("bad_request", "no filter", status=status)
    read = await source(graph).read(known_open=[], full=False, now=NOW)
    assert graph.asked == ["open", "all", "overviews"]
    assert read.full


@pytest.mark.parametrize("where", ["open", "EX2"])
async def test_half_a_read_is_no_read(where: str) -> None:
    graph = Graph(an_open("EX1"), an_open("EX2", isResolved=True))
    wait = timedelta(seconds=7)
    graph.trouble[where] = VendorError("throttled", "slow down", status=429, retry_after=wait)
    with pytest.raises(SourceUnreadable) as caught:
        await source(graph).read(known_open=["EX2"], full=False, now=NOW)
    assert (caught.value.code, caught.value.retry_after) == ("throttled", wait)


async def test_a_missing_permission_says_what_to_do() -> None:
    graph = Graph()
    graph.trouble["all"] = VendorError("forbidden", "Graph answered 403", status=403)
    with pytest.raises(SourceUnreadable) as caught:
        await source(graph).read(known_open=[], full=True, now=NOW)
    assert "ServiceHealth.Read.All" in caught.value.remedy
    assert "consent" in caught.value.remedy


async def test_a_record_that_cannot_be_read_is_counted_and_still_served() -> None:
    graph = Graph(an_open("EX1"), an_open("EX2", startDateTime="nonsense"))
    graph.extra = [{"isResolved": False}]
    read = await source(graph).read(known_open=["EX2"], full=False, now=NOW)
    assert [a.vendor_id for a in read.advisories] == ["EX1"]
    assert read.unreadable == 2
    assert "EX2" in read.raw


async def test_an_id_that_comes_twice_counts_by_its_newest_stamp() -> None:
    graph = Graph(an_open("EX1", title="new", lastModifiedDateTime="2026-03-16T07:00:00Z"))
    graph.extra = [an_open("EX1", title="old", lastModifiedDateTime="2026-03-16T06:00:00Z")]
    read = await source(graph).read(known_open=[], full=False, now=NOW)
    assert [a.title for a in read.advisories] == ["new"]
    assert json.loads(read.raw["EX1"])["title"] == "new"


async def test_unknown_words_are_reported() -> None:
    graph = Graph(an_open("EX1", status="serviceSplendid", classification="INCIDENT"))
    read = await source(graph).read(known_open=[], full=False, now=NOW)
    assert read.unknown_values == (("status", "serviceSplendid"),)


async def test_the_hourly_share_is_kept_and_comes_back() -> None:
    graph = Graph(an_open("EX1"))
    graph.budget = Budget("share", Limits(2, 100), lambda: graph.now)
    reader = source(graph)
    assert reader.budget(graph.now) is None
    for at in (0, 10):
        graph.now = NOW + minutes(at)
        await reader.read(known_open=[], full=False, now=graph.now)
    graph.now = NOW + minutes(20)
    used = reader.budget(graph.now) or {}
    assert (used["requests_per_hour"], used["used"], used["used_this_minute"]) == (2, 2, 0)
    with pytest.raises(SourceUnreadable) as caught:
        await reader.read(known_open=[], full=False, now=graph.now)
    assert (caught.value.code, caught.value.retry_after) == ("budget", minutes(40) + SLOT)
    assert "requests_per_hour" in caught.value.remedy
    graph.now = NOW + minutes(60) + SLOT
    await reader.read(known_open=[], full=False, now=graph.now)


async def test_many_that_left_are_read_as_one_list() -> None:
    graph = Graph(*(an_open(f"EX{n}", isResolved=True) for n in range(10, 30)))
    known = [f"EX{n}" for n in range(10, 30)]
    read = await source(graph).read(known_open=[*known, "EX99"], full=False, now=NOW)
    assert graph.asked == ["open", "all", "overviews", "EX99"]
    assert len(read.advisories) == 20
    assert read.full


async def test_a_list_of_several_pages_is_held_against_the_open_ones() -> None:
    graph = Graph(an_open("EX1"), an_open("EX2"))

    class Slipping(Graph):
        async def list(self, path: str, query: Any = None) -> list[dict[str, Any]]:
            found = await super().list(path, query)
            if query is None and "issues" in path:
                self.requests += 1  # a second page, before which a row slipped through
                return [one for one in found if one["id"] != "EX2"]
            return found

    slipping = Slipping(*graph.issues.values())
    read = await source(slipping).read(known_open=[], full=True, now=NOW)
    assert slipping.asked == ["all", "open", "overviews"]
    assert [a.vendor_id for a in read.advisories] == ["EX1", "EX2"]


async def test_a_read_that_trickles_without_end_is_given_up() -> None:
    """No pause is long enough for a time limit of its own, and nothing would ever be told."""

    async def drops() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.001)
            yield b" "

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=drops())

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    client = GraphClient(lambda: http, AsyncTokens(), base_url="https://g.test")
    budget = Budget("share", Limits(9, 9), lambda: NOW)
    reader = GraphSource(client, GraphSettings(**SETTINGS), budget=budget, longest_seconds=0.05)
    with pytest.raises(SourceUnreadable) as caught:
        await reader.read(known_open=[], full=False, now=NOW)
    assert caught.value.code == "timeout"
    assert "not complete after 0.05 s" in caught.value.text


async def test_tenants_that_see_the_same_share_its_translation() -> None:
    graph, translator = Graph(an_open("EX1"), an_open("EX2")), Translator()
    one = GraphSource(graph, GraphSettings(**SETTINGS), budget=graph.budget, translator=translator)
    two = GraphSource(graph, GraphSettings(**SETTINGS), budget=graph.budget, translator=translator)
    first = await one.read(known_open=[], full=False, now=NOW)
    later = await two.read(known_open=[], full=False, now=NOW + minutes(5))
    assert (translator.misses, translator.hits) == (2, 2)
    assert [a.first_seen_at for a in later.advisories] == [NOW + minutes(5)] * 2
    assert [a.digest for a in first.advisories] == [a.digest for a in later.advisories]


async def test_one_text_under_two_names_is_translated_for_each() -> None:
    graph, translator = Graph(an_open("EX1", service="Drifted")), Translator()
    slugs = []
    for vendor_id in ("Exchange", "SharePoint"):
        graph.overviews = [{"id": vendor_id, "service": "Drifted"}]
        reader = GraphSource(
            graph, GraphSettings(**SETTINGS), budget=graph.budget, translator=translator
        )
        read = await reader.read(known_open=[], full=True, now=NOW)
        slugs.append(read.advisories[0].service)
    assert slugs == ["exchange-online", "sharepoint-online"]


async def test_the_memory_of_translations_is_bounded() -> None:
    translator = Translator(size=3)
    graph = Graph(*(an_open(f"EX{n}") for n in range(9)))
    reader = GraphSource(
        graph, GraphSettings(**SETTINGS), budget=graph.budget, translator=translator
    )
    for _ in range(2):
        assert len((await reader.read(known_open=[], full=False, now=NOW)).advisories) == 9
    assert (translator.misses, translator.hits) == (18, 0)
