"""The Graph source: recorded issues become advisories, tolerant of whatever is new."""

import copy
import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import UnreadablePayload
from app.core.types import Symptom
from app.sources.graph import (
    translate,
)
from tests.builders import NOW

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


@pytest.mark.parametrize(
    "far",
    ["9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59-05:00", "1601-01-01T00:00:00Z"],
)
def test_a_time_out_of_all_bounds_is_no_time(far: str) -> None:
    made = read_as(changed("FM298724", startDateTime=far, endDateTime=far))
    assert (made.started_at, made.ended_at) == (made.published_at, None)
    posts = copy.deepcopy(BY_ID["FM298724"]["posts"])
    posts[0]["createdDateTime"] = far
    with pytest.raises(UnreadablePayload):
        read_as(changed("FM298724", posts=posts))


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
