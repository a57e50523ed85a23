"""The Graph and Entra stand-in behaves like the service: tokens, paging, limits and errors."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import httpx
import msal  # type: ignore[import-untyped] # it brings no types
import pytest

from app.kit.clock import FixedClock
from tests.standins.__main__ import CLIENT, TENANT, StandIns
from tests.standins.conftest import SECRET
from tests.standins.graph import ROOT


def acquire(standins: StandIns, secret: str) -> dict[str, Any]:
    """Ask for a token as the application does: with msal, over TLS."""
    facts = standins.facts()
    with httpx.Client(verify=standins.certificates.client_context(), trust_env=False) as http:
        app = msal.ConfidentialClientApplication(
            CLIENT,
            authority=f"{facts['authority']}/{TENANT}",
            client_credential=secret,
            instance_discovery=False,
            http_client=http,
        )
        answer: dict[str, Any] = app.acquire_token_for_client([f"{facts['base_url']}/.default"])
        return answer


@pytest.fixture
async def bearer(standins: StandIns) -> dict[str, str]:
    """The header of a caller that signed in."""
    token = await asyncio.to_thread(acquire, standins, SECRET)
    return {"authorization": f"Bearer {token['access_token']}"}


@pytest.fixture
def issues(standins: StandIns) -> str:
    """The address of the list of issues."""
    return f"{standins.facts()['base_url']}{ROOT}/issues"


async def test_msal_gets_a_token_over_tls(standins: StandIns) -> None:
    token = await asyncio.to_thread(acquire, standins, SECRET)
    assert token["token_type"] == "Bearer"
    assert token["expires_in"] in {3598, 3599}


async def test_msal_is_told_of_a_wrong_secret(standins: StandIns) -> None:
    answer = await asyncio.to_thread(acquire, standins, "wrong")
    assert answer["error"] == "invalid_client"
    assert answer["error_codes"] == [7000215]
    assert answer["error_description"].startswith("AADSTS7000215: Invalid client secret")


async def test_msal_is_told_of_an_expired_secret(standins: StandIns) -> None:
    entra = standins.graph.entra
    entra.registrations[0].secrets["old"] = entra.wall() - timedelta(days=1)
    answer = await asyncio.to_thread(acquire, standins, "old")
    assert answer["error_codes"] == [7000222]


@pytest.mark.parametrize(
    ("change", "status", "error", "code"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_secret": ""}, 401, "invalid_client", 7000216),
        ({"client_id": "other"}, 400, "unauthorized_client", 700016),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"scope": ""}, 400, "invalid_scope", 70011),
        ({"scope": "https://graph.microsoft.com/User.Read"}, 400, "invalid_scope", 1002012),
    ],
)
async def test_the_token_endpoint_refuses_as_entra_does(
    standins: StandIns,
    http: httpx.AsyncClient,
    change: dict[str, str],
    status: int,
    error: str,
    code: int,
) -> None:
    url = f"{standins.facts()['authority']}/{TENANT}/oauth2/v2.0/token"
    form = {
        "grant_type": "client_credentials",
        "client_id": CLIENT,
        "client_secret": SECRET,
        "scope": "https://graph.microsoft.com/.default",
    }
    answer = await http.post(url, data=form | change)
    assert answer.status_code == status
    assert answer.json()["error"] == error
    assert answer.json()["error_codes"] == [code]


async def test_discovery_knows_its_tenant_alone(
    standins: StandIns, http: httpx.AsyncClient
) -> None:
    authority = standins.facts()["authority"]
    path = "v2.0/.well-known/openid-configuration"
    known = await http.get(f"{authority}/{TENANT}/{path}")
    unknown = await http.get(f"{authority}/00000000-0000-0000-0000-000000000000/{path}")
    assert known.json()["token_endpoint"] == f"{authority}/{TENANT}/oauth2/v2.0/token"
    assert unknown.status_code == 400
    assert unknown.json()["error"] == "invalid_tenant"


async def test_issues_need_a_valid_token(
    standins: StandIns, http: httpx.AsyncClient, issues: str, bearer: dict[str, str]
) -> None:
    bare = await http.get(issues)
    assert (bare.status_code, bare.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")
    assert (await http.get(issues, headers=bearer)).status_code == 200
    await http.post(f"{standins.facts()['base_url']}/_standin/revoke")
    assert (await http.get(issues, headers=bearer)).status_code == 401


async def test_a_token_expires(standins: StandIns, http: httpx.AsyncClient, issues: str) -> None:
    standins.graph.entra.lifetime = timedelta(0)
    token = (await asyncio.to_thread(acquire, standins, SECRET))["access_token"]
    answer = await http.get(issues, headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert "expired" in answer.json()["error"]["message"]


async def test_an_app_without_consent_is_forbidden(
    standins: StandIns, http: httpx.AsyncClient, issues: str
) -> None:
    standins.graph.entra.registrations[0].roles = ()
    token = (await asyncio.to_thread(acquire, standins, SECRET))["access_token"]
    answer = await http.get(issues, headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 403


async def test_pages_are_followed_by_next_links(
    http: httpx.AsyncClient, issues: str, bearer: dict[str, str]
) -> None:
    headers = bearer | {"prefer": "odata.maxpagesize=2"}
    found, url, pages = [], issues, 0
    while url:
        page = (await http.get(url, headers=headers)).json()
        found += [item["id"] for item in page["value"]]
        url, pages = page.get("@odata.nextLink"), pages + 1
    assert pages == 3
    assert len(found) == len(set(found)) == 6


async def test_top_silences_the_next_link(
    http: httpx.AsyncClient, issues: str, bearer: dict[str, str]
) -> None:
    page = (await http.get(issues, params={"$top": "2"}, headers=bearer)).json()
    assert len(page["value"]) == 2
    assert "@odata.nextLink" not in page


async def test_the_filter_shows_the_open_advisory_alone(
    http: httpx.AsyncClient, issues: str, bearer: dict[str, str]
) -> None:
    query = {"$filter": "isResolved eq false"}
    page = (await http.get(issues, params=query, headers=bearer)).json()
    assert [item["id"] for item in page["value"]] == ["EX931445"]
    recent = {
        "$filter": "service eq 'Exchange Online' and lastModifiedDateTime ge 2026-03-01T00:00:00Z"
    }
    page = (await http.get(issues, params=recent, headers=bearer)).json()
    assert [item["id"] for item in page["value"]] == ["EX931445"]


@pytest.mark.parametrize("text", ["", "nonsense", "unknownField eq 1"])
async def test_a_filter_that_it_cannot_read_is_a_bad_request(
    http: httpx.AsyncClient, issues: str, bearer: dict[str, str], text: str
) -> None:
    answer = await http.get(issues, params={"$filter": text}, headers=bearer)
    assert answer.status_code == 400


async def test_the_advisory_appears_and_changes_with_story_time(
    http: httpx.AsyncClient, issues: str, bearer: dict[str, str], clock: FixedClock
) -> None:
    clock.at = clock.at.replace(hour=6, minute=41)
    assert (await http.get(f"{issues}/EX931445", headers=bearer)).status_code == 403
    clock.at = clock.at.replace(hour=6, minute=42)
    first = (await http.get(f"{issues}/EX931445", headers=bearer)).json()
    assert (first["status"], len(first["posts"])) == ("investigating", 1)
    assert first["startDateTime"] == "2026-03-16T06:05:00Z"
    clock.at = clock.at.replace(hour=9, minute=5)
    last = (await http.get(f"{issues}/EX931445", headers=bearer)).json()
    assert (last["status"], last["isResolved"]) == ("postIncidentReviewPublished", True)


async def test_an_unknown_id_is_refused_in_json_within_json(
    http: httpx.AsyncClient, issues: str, bearer: dict[str, str]
) -> None:
    error = (await http.get(f"{issues}/EX000000", headers=bearer)).json()["error"]
    assert error["code"] == "UnknownError"
    outer = json.loads(error["message"])
    assert outer["code"] == "forbidden"
    assert "doesn't exist for the tenant" in json.loads(outer["message"])["error"]


async def test_overviews_name_the_services_and_the_one_in_trouble(
    standins: StandIns, http: httpx.AsyncClient, bearer: dict[str, str]
) -> None:
    url = f"{standins.facts()['base_url']}{ROOT}/healthOverviews"
    shown = {item["id"]: item for item in (await http.get(url, headers=bearer)).json()["value"]}
    assert shown["Exchange"]["status"] == "serviceDegradation"
    assert shown["microsoftteams"]["status"] == "serviceOperational"
    nothing = await http.get(f"{url}/Exchange/issues", headers=bearer)
    assert (nothing.status_code, nothing.json()["error"]["code"]) == (404, "UnknownError")


async def test_the_241st_request_of_a_minute_is_throttled(
    standins: StandIns, http: httpx.AsyncClient, issues: str, bearer: dict[str, str],
    clock: FixedClock,
) -> None:  # fmt: skip
    throttle = standins.graph.throttle
    assert not any(throttle.refuse(f"{TENANT}/{CLIENT}") for _ in range(240))
    refused = await http.get(issues, headers=bearer)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "61")
    throttle.tells_when = False
    assert "retry-after" not in (await http.get(issues, headers=bearer)).headers
    clock.at += timedelta(seconds=61)
    assert (await http.get(issues, headers=bearer)).status_code == 200


async def test_the_801st_request_of_an_hour_is_throttled(
    standins: StandIns, clock: FixedClock
) -> None:
    throttle = standins.graph.throttle
    for _ in range(800):
        clock.at += timedelta(seconds=1)
        assert throttle.refuse("someone") is None
    assert throttle.refuse("someone") is not None
    assert throttle.refuse("someone else") is None


@pytest.mark.parametrize(
    ("mode", "status", "kind"),
    [
        ("503", 503, "application/json"),
        ("429", 429, "application/json"),
        ("403", 403, "text/plain; charset=utf-8"),
        ("html", 200, "text/html; charset=utf-8"),
    ],
)
async def test_a_fault_answers_for_as_many_requests_as_asked(
    standins: StandIns, http: httpx.AsyncClient, issues: str, bearer: dict[str, str],
    mode: str, status: int, kind: str,
) -> None:  # fmt: skip
    control = f"{standins.facts()['base_url']}/_standin/mode"
    await http.post(control, json={"graph": mode, "times": 1, "retry_after": "7"})
    faulty = await http.get(issues, headers=bearer)
    assert (faulty.status_code, faulty.headers["content-type"]) == (status, kind)
    sound = await http.get(issues, headers=bearer)
    assert sound.json()["value"]


async def test_a_truncated_answer_breaks_off(
    standins: StandIns, http: httpx.AsyncClient, issues: str, bearer: dict[str, str]
) -> None:
    control = f"{standins.facts()['base_url']}/_standin/mode"
    await http.post(control, json={"graph": "truncated", "times": 1})
    with pytest.raises(httpx.RemoteProtocolError):
        await http.get(issues, headers=bearer)


async def test_entra_can_fail_alone(standins: StandIns, http: httpx.AsyncClient) -> None:
    control = f"{standins.facts()['base_url']}/_standin/mode"
    await http.post(control, json={"entra": "503"})
    url = f"{standins.facts()['authority']}/{TENANT}/v2.0/.well-known/openid-configuration"
    assert (await http.get(url)).status_code == 503
