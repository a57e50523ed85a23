"""The Graph source: recorded issues translated, lanes read completely, names learnt each cycle."""

import copy
import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.clients.graph import VendorError
from app.core.errors import UnreadablePayload
from app.core.ports import SourceUnreadable
from app.core.types import Symptom
from app.sources.graph import CLOUDS, GraphSettings, GraphSource, open_graph, translate
from tests.builders import NOW, minutes

FIXTURES = Path(__file__).parent.parent / "fixtures" / "graph"
ISSUES: list[dict[str, Any]] = json.loads((FIXTURES / "issues_in_v1_shape.json").read_text())
BY_ID = {issue["id"]: issue for issue in ISSUES}
DOCS = json.loads((FIXTURES / "msdocs_v1_list_issues.json").read_text())
SETTINGS = {
    "tenant_id": "11111111-1111-1111-1111-111111111111",
    "client_id": "app",
    "credential": {"secret": "s3cret"},
}


def read_as(issue: Mapping[str, Any], **names: str) -> Any:
    return translate(issue, names=names, now=NOW)


def changed(vendor_id: str, **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(BY_ID[vendor_id]), **changes}


# -- translate -----------------------------------------------------------------------------------


@pytest.mark.parametrize("issue", [*ISSUES, *DOCS.get("value", [])], ids=lambda i: i["id"])
def test_every_recorded_issue_is_read(issue: dict[str, Any]) -> None:
    made = read_as(issue)
    assert made.vendor_id == issue["id"]
    assert made.id.startswith("adv_")
    assert [post.created_at for post in made.posts] == sorted(p.created_at for p in made.posts)
    assert len({post.id for post in made.posts}) == len(made.posts)
    assert all("<script" not in post.html for post in made.posts)


def test_posts_out_of_order_are_sorted() -> None:
    made = read_as(BY_ID["TM218696"])
    assert made.posts[-1].created_at == datetime(2020, 8, 7, 13, 16, 37, 37000, tzinfo=UTC)
    assert made.published_at == made.posts[0].created_at
    assert made.stated_started_at == datetime(2020, 7, 15, 14, 0, tzinfo=UTC)


def test_the_stated_start_may_differ_from_the_field() -> None:
    made = read_as(BY_ID["SP220211"])
    assert made.started_at == datetime(2020, 8, 11, 22, 14, 58, tzinfo=UTC)
    assert made.stated_started_at == datetime(2020, 8, 11, 6, 8, tzinfo=UTC)
    assert made.understood.cause_category == "configuration_change"


def test_recorded_texts_are_understood() -> None:
    forms = read_as(BY_ID["FM298724"])
    assert forms.service == "forms"
    assert forms.understood.symptoms == (Symptom.HTTP_5XX,)
    assert forms.understood.cause_category == "capacity"
    assert forms.understood.regions == ()
    broadcast = read_as(BY_ID["LY220759"])
    assert broadcast.understood.cause_category == "third_party"
    assert broadcast.understood.mitigation is not None
    teams = read_as(BY_ID["TM218696"])
    assert teams.understood.clients == ()  # the desktop client is named as what still works


def test_identical_posts_at_other_times_stay_and_duplicates_go() -> None:
    made = read_as(BY_ID["FM298724"])
    assert len(made.posts) == 6
    twice = changed("FM298724", posts=BY_ID["FM298724"]["posts"] * 2)
    assert read_as(twice).digest == made.digest
    assert read_as(twice).id == made.id


def test_order_stamp_case_details_and_unknown_properties_do_not_change_the_digest() -> None:
    made = read_as(BY_ID["FM298724"])
    shuffled = changed("FM298724")
    random.Random(7).shuffle(shuffled["posts"])
    shuffled |= {
        "lastModifiedDateTime": "2021-11-30T00:00:00Z",
        "status": "PostIncidentReviewPublished",
        "details": [{"name": "FeatureStatusJson", "value": '{"now": 1}'}],
        "issues@odata.context": "x",
    }
    again = read_as(shuffled)
    assert again.digest == made.digest
    assert again.id != made.id  # the stamp is part of the id


def test_an_edit_under_an_unmoved_stamp_is_seen() -> None:
    edited = changed("FM298724")
    edited["posts"][0]["description"]["content"] += " More."
    made, again = read_as(BY_ID["FM298724"]), read_as(edited)
    assert again.last_modified_at == made.last_modified_at
    assert again.digest != made.digest
    assert again.id != made.id
    assert [post.id for post in again.posts] == [post.id for post in made.posts]


@pytest.mark.parametrize(
    "stamp",
    [
        "2021-11-17T13:00:00Z",
        "2021-11-17T13:00:00.5Z",
        "2021-11-17T13:00:00.12Z",
        "2021-11-17T13:00:00.1234567Z",
        "2021-11-17T13:00:00",
        "2021-11-17T14:00:00+01:00",
    ],
)
def test_times_with_any_fractions_are_read(stamp: str) -> None:
    started = read_as(changed("FM298724", startDateTime=stamp)).started_at
    assert started.replace(microsecond=0) == datetime(2021, 11, 17, 13, tzinfo=UTC)


def test_the_year_one_is_no_time() -> None:
    made = read_as(
        changed(
            "FM298724",
            startDateTime="0001-01-01T00:00:00Z",
            endDateTime="0001-01-01T00:00:00.0000000Z",
        )
    )
    assert made.ended_at is None
    assert made.started_at == made.published_at


def test_names_of_the_tenant_come_before_the_catalogue() -> None:
    issue = changed("FM298724", service="Brand New Name")
    assert read_as(issue).service == "other"
    assert read_as(issue, **{"Brand New Name": "Exchange"}).service == "exchange-online"
    assert read_as(issue, **{"Brand New Name": "BrandNewId"}).service == "other"
    assert read_as(changed("FM298724", service="Identity Service")).service == "entra-id"
    assert read_as(BY_ID["FM298724"], **{"Microsoft Forms": "NewId"}).service == "forms"
    assert read_as(issue).service_name == "Brand New Name"


def test_html_posts_become_safe_and_plain() -> None:
    post = {
        "createdDateTime": "2026-03-16T06:42:00Z",
        "postType": "quick",
        "description": {
            "contentType": "Html",
            "content": '<p>a &lt; b</p><img src="https://x/y.png"><script>x()</script>',
        },
    }
    plain = {**post, "description": {"contentType": "text", "content": "1 < 2\nnext"}}
    made = read_as(changed("FM298724", posts=[post, plain]))
    assert {p.text for p in made.posts} == {"a < b", "1 < 2\nnext"}
    assert {p.html for p in made.posts} == {"<p>a &lt; b</p>", "1 &lt; 2<br>\nnext"}


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None},
        {"id": ""},
        {"isResolved": "yes"},
        {"isResolved": None},
        {"startDateTime": "yesterday"},
        {"startDateTime": 17},
        {"posts": [{"createdDateTime": None}]},
        {"posts": [17]},
        {"posts": 17},
        {"posts": [{"createdDateTime": "2026-03-16T06:42:00Z", "description": "text"}]},
        {"lastModifiedDateTime": None, "startDateTime": None, "posts": []},
    ],
)
def test_what_we_rely_on_must_be_there(changes: dict[str, Any]) -> None:
    with pytest.raises(UnreadablePayload):
        read_as(changed("FM298724", **changes))


def test_what_we_do_not_rely_on_may_be_missing() -> None:
    made = read_as(
        {
            "id": "XX1",
            "status": "serviceDegradation",
            "isResolved": False,
            "lastModifiedDateTime": "2026-03-16T06:42:00Z",
        }
    )
    assert (made.title, made.service, made.posts) == ("XX1", "other", ())
    assert made.published_at is None
    assert read_as(changed("FM298724", details=[17, {"name": None}])).details == (("", ""),)
    assert read_as(changed("FM298724", details=17, highImpact=True)).high_impact is True


# -- read ----------------------------------------------------------------------------------------


class Graph:
    """A Graph that serves what it is given."""

    def __init__(self, *issues: dict[str, Any]) -> None:
        self.issues = {issue["id"]: issue for issue in issues}
        self.extra: list[dict[str, Any]] = []
        self.overviews: list[dict[str, Any]] | VendorError = []
        self.trouble: dict[str, VendorError] = {}
        self.asked: list[str] = []
        self.requests = 0

    async def list(self, path: str, query: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
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
        self.requests += 1
        vendor_id = path.rsplit("/", 1)[1]
        self.asked.append(vendor_id)
        if vendor_id in self.trouble:
            raise self.trouble[vendor_id]
        if vendor_id not in self.issues:
            raise VendorError("not_found", "gone", status=404)
        return self.issues[vendor_id]

    async def aclose(self) -> None:
        pass


def source(graph: Graph, **settings: Any) -> GraphSource:
    return GraphSource(graph, GraphSettings(**{**SETTINGS, **settings}))


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
    reader = source(graph, requests_per_hour=2)
    for at in (0, 10):
        await reader.read(known_open=[], full=False, now=NOW + minutes(at))
    assert reader.budget(NOW + minutes(11)) == {"requests_per_hour": 2, "used": 2}
    with pytest.raises(SourceUnreadable) as caught:
        await reader.read(known_open=[], full=False, now=NOW + minutes(20))
    assert (caught.value.code, caught.value.retry_after) == ("budget", minutes(40))
    await reader.read(known_open=[], full=False, now=NOW + minutes(60))


# -- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("cloud", CLOUDS)
def test_each_cloud_has_its_addresses(cloud: str) -> None:
    made = GraphSettings(**SETTINGS, cloud=cloud)
    assert (made.authority_url, made.graph_url) == (
        f"{CLOUDS[cloud][0]}/{SETTINGS['tenant_id']}",
        CLOUDS[cloud][1],
    )


async def test_addresses_of_ones_own_are_taken_without_tenant_and_version() -> None:
    made = GraphSettings(
        **SETTINGS, authority="https://localhost:8443/", base_url="https://127.0.0.1:8444/"
    )
    assert made.authority_url == f"https://localhost:8443/{SETTINGS['tenant_id']}"
    assert made.graph_url == "https://127.0.0.1:8444"
    assert "s3cret" not in repr(made)
    await open_graph(made).aclose()


@pytest.mark.parametrize(
    "wrong",
    [
        {"tenant_id": "common"},
        {"tenant_id": "a/b"},
        {"cloud": "moon"},
        {"authority": "https://login.test"},
        {"base_url": "https://graph.test"},
        {"authority": "http://login.test", "base_url": "https://graph.test"},
        {"authority": "http://127.0.0.1", "base_url": "https://graph.test"},
        {"authority": "https://login.test", "base_url": "https://graph.test/v1.0"},
        {"authority": "https://login.test", "base_url": "https://graph.test?x=1"},
        {"authority": "https://login.test", "base_url": "graph.test"},
        {"poll_hot_seconds": 0},
        {"poll_hot_seconds": 600},
        {"requests_per_hour": 0},
        {"credential": {}},
        {"surprise": 1},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GraphSettings(**{**SETTINGS, **wrong})
