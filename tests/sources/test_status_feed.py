"""Public status pages: their word becomes evidence, their silence becomes nothing."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from app.core.ports import SourceUnreadable
from app.core.types import Outcome, Symptom, TenantId
from app.sources.status_feed import SharedPages, StatusFeedSettings, feeds_of
from tests.builders import NOW, TENANT, minutes
from tests.standins.status_pages import StatusPages

ON = StatusFeedSettings(enabled=True)
DAY = timedelta(days=1)


@pytest.fixture
def standin() -> StatusPages:
    return StatusPages()


@pytest.fixture
async def pages(standin: StatusPages) -> AsyncIterator[SharedPages]:
    made = SharedPages(httpx.ASGITransport(standin.app()))
    yield made
    await made.aclose()


def test_the_pages_are_off_until_switched_on(pages: SharedPages) -> None:
    assert feeds_of(StatusFeedSettings(), pages) == ()
    assert [feed.name for feed in feeds_of(ON, pages)] == ["status:microsoft", "status:azure"]


@pytest.mark.parametrize(
    ("status", "outcome", "symptom"),
    [
        ("Available", Outcome.OK, None),
        ("Operational", Outcome.OK, None),
        ("ServiceRestored", Outcome.OK, None),
        ("ServiceDegradation", Outcome.DEGRADED, Symptom.OTHER),
        ("ServiceInterruption", Outcome.FAILED, Symptom.OTHER),
        ("Unknown", Outcome.UNKNOWN, None),
        ("SomethingNew", Outcome.UNKNOWN, None),
    ],
)
async def test_the_post_says_how_the_admin_plane_is(
    pages: SharedPages, standin: StatusPages, status: str, outcome: Outcome, symptom: Symptom | None
) -> None:
    standin.status = status
    (result,) = (await feeds_of(ON, pages)[0].read(tenant=TENANT, now=NOW)).results
    assert (result.service, result.outcome, result.symptom) == (
        "microsoft-365-admin", outcome, symptom,
    )  # fmt: skip
    assert result.location == "status.cloud.microsoft"


async def test_the_words_of_a_post_are_understood(pages: SharedPages, standin: StatusPages) -> None:
    standin.status, standin.title = "ServiceInterruption", "MO1268822"
    standin.message = "<p>Admins see HTTP 503 errors in the Microsoft 365 admin center.</p>"
    read = await feeds_of(ON, pages)[0].read(tenant=TENANT, now=NOW)
    (result,) = read.results
    assert result.symptom is Symptom.HTTP_5XX
    assert result.error == "MO1268822 Admins see HTTP 503 errors in the Microsoft 365 admin center."
    assert read.said == (f"failed: {result.error}",)


@pytest.mark.parametrize(
    ("title", "age", "outcome"),
    [
        ("Microsoft Entra ID - authentication failures", minutes(30), Outcome.DEGRADED),
        ("Azure Active Directory: sign-in errors", minutes(30), Outcome.DEGRADED),
        ("Virtual Machines - West Europe", minutes(30), Outcome.OK),
        ("Mitigated: Microsoft Entra ID", minutes(30), Outcome.OK),
        ("Microsoft Entra ID - authentication failures", 3 * DAY, Outcome.OK),
    ],
)
async def test_azure_speaks_of_sign_in_only(
    pages: SharedPages, standin: StatusPages, title: str, age: timedelta, outcome: Outcome
) -> None:
    standin.entries = [(title, "<p>We are investigating.</p>", NOW - age)]
    (result,) = (await feeds_of(ON, pages)[1].read(tenant=TENANT, now=NOW)).results
    assert (result.service, result.outcome) == ("entra-id", outcome)


async def test_an_empty_feed_is_well(pages: SharedPages) -> None:
    (result,) = (await feeds_of(ON, pages)[1].read(tenant=TENANT, now=NOW)).results
    assert (result.outcome, result.error) == (Outcome.OK, None)


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    b"<rss><channel><item><title>&b;</title></item></channel></rss>"
)


@pytest.mark.parametrize("feed", [0, 1])
@pytest.mark.parametrize(
    "odd",
    [
        b"",
        b"<html>Sign in</html>",
        b"<p",
        b"[]",
        b'{"Status": 5}',
        BOMB,
        b"\xff\xfe<",
        b"x" * 2**21,
    ],
)
async def test_a_page_that_is_not_what_it_was_says_nothing(
    pages: SharedPages, standin: StatusPages, feed: int, odd: bytes
) -> None:
    standin.odd = odd
    with pytest.raises(SourceUnreadable) as caught:
        await feeds_of(ON, pages)[feed].read(tenant=TENANT, now=NOW)
    assert caught.value.code in {"odd_body", "too_large"}
    assert "status_feed" in caught.value.remedy


@pytest.mark.parametrize(
    ("status", "code"), [(429, "throttled"), (503, "unavailable"), (302, "unavailable")]
)
async def test_a_page_that_is_away_is_unreadable(
    pages: SharedPages, standin: StatusPages, status: int, code: str
) -> None:
    standin.failing = status
    with pytest.raises(SourceUnreadable) as caught:
        await feeds_of(ON, pages)[0].read(tenant=TENANT, now=NOW)
    assert (caught.value.code, caught.value.retry_after) == (code, minutes(10))


async def test_hundreds_of_tenants_ask_each_page_once_a_period(
    pages: SharedPages, standin: StatusPages
) -> None:
    feeds = feeds_of(ON, pages)
    tenants = [TenantId(f"t{number}") for number in range(200)]
    reads = await asyncio.gather(*(f.read(tenant=t, now=NOW) for t in tenants for f in feeds))
    assert standin.asked == pages.requests == 2
    assert len({result.id for read in reads for result in read.results}) == 400
    await feeds[0].read(tenant=TENANT, now=NOW + minutes(4))
    assert standin.asked == 3
