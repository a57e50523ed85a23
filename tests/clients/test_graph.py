"""The Graph client: tokens, complete lists, and every odd answer by its name."""

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.clients.answers import retry_after
from app.clients.budget import Budget
from app.clients.graph import GraphClient, VendorError
from app.kit.windows import Limits
from tests.standins.__main__ import StandIns
from tests.standins.faults import Mode

GRAPH = "https://graph.test"
ISSUES = "admin/serviceAnnouncement/issues"
ERRORS = json.loads((Path(__file__).parent.parent / "fixtures/graph/errors.json").read_text())
Answer = Callable[[httpx.Request], httpx.Response]


class Tokens:
    def __init__(self) -> None:
        self.number = 1
        self.dropped = 0
        self.claims: list[str | None] = []

    async def get(self) -> str:
        return f"token-{self.number}"

    async def drop(self, claims: str | None = None) -> None:
        self.dropped += 1
        self.number += 1
        self.claims.append(claims)


def client(answer: Answer, tokens: Tokens | None = None) -> GraphClient:
    transport = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return GraphClient(lambda: transport, tokens or Tokens(), base_url=f"{GRAPH}/")


def always(status: int, **made: Any) -> Answer:
    return lambda _: httpx.Response(status, **made)


async def failure(answer: Answer) -> VendorError:
    with pytest.raises(VendorError) as caught:
        await client(answer).list(ISSUES)
    return caught.value


async def test_pages_are_followed_verbatim_and_top_is_never_sent() -> None:
    asked: list[httpx.Request] = []
    link = f"{GRAPH}/v1.0/{ISSUES}?$filter=isResolved%20eq%20false&$skip=2"

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if "skip" in str(request.url):
            return httpx.Response(200, json={"value": [{"id": "3"}]})
        return httpx.Response(
            200, json={"value": [{"id": "1"}, {"id": "2"}], "@odata.nextLink": link}
        )

    reader = client(answer)
    records = await reader.list(ISSUES, {"$filter": "isResolved eq false"})
    assert [record["id"] for record in records] == ["1", "2", "3"]
    assert str(asked[0].url) == f"{GRAPH}/v1.0/{ISSUES}?$filter=isResolved%20eq%20false"
    assert str(asked[1].url) == link
    assert reader.requests == 2
    for request in asked:
        assert "top" not in str(request.url)
        assert "odata.maxpagesize=1000" in request.headers["prefer"]
        assert len(request.headers["client-request-id"]) == 36
        assert request.headers["authorization"] == "Bearer token-1"


async def test_a_missing_page_fails_the_whole_list() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "skip" in str(request.url):
            return httpx.Response(429, headers={"retry-after": "7"}, json={"error": {"code": "x"}})
        link = f"{GRAPH}/v1.0/{ISSUES}?$skip=1"
        return httpx.Response(200, json={"value": [{"id": "1"}], "@odata.nextLink": link})

    error = await failure(answer)
    assert (error.code, error.status, error.retry_after) == ("throttled", 429, timedelta(seconds=7))


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.test/next",
        "http://graph.test/next",
        "https://graph.test:8443/next",
        "https://graph.test.evil.test/",
        "//evil.test/next",
        17,
        "https://[",
    ],
)
async def test_our_token_goes_to_no_other_origin(link: object) -> None:
    error = await failure(always(200, json={"value": [], "@odata.nextLink": link}))
    assert error.code == "foreign_link"


async def test_pages_in_a_circle_end() -> None:
    link = f"{GRAPH}/v1.0/{ISSUES}"
    error = await failure(always(200, json={"value": [], "@odata.nextLink": link}))
    assert error.code == "endless"


async def test_a_401_drops_the_token_and_tries_once_more() -> None:
    tokens = Tokens()

    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers["authorization"] == "Bearer token-1":
            return httpx.Response(401, json={"error": {"code": "InvalidAuthenticationToken"}})
        return httpx.Response(200, json={"value": []})

    assert await client(answer, tokens).list(ISSUES) == []
    assert tokens.dropped == 1


@pytest.mark.parametrize(
    ("challenge", "claims"),
    [
        ("Bearer", None),
        ('Bearer error="insufficient_claims", claims="eyJhIjoxfQ=="', '{"a":1}'),
        ('Bearer error="insufficient_claims", claims="eyJhIjoxfQ"', '{"a":1}'),
        ('Bearer claims="not json"', None),
        ('Bearer claims="AAAA"', None),
    ],
)
async def test_what_a_challenge_asks_for_goes_to_the_next_token(
    challenge: str, claims: str | None
) -> None:
    tokens = Tokens()

    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers["authorization"] == "Bearer token-1":
            return httpx.Response(401, headers={"www-authenticate": challenge})
        return httpx.Response(200, json={"value": []})

    assert await client(answer, tokens).list(ISSUES) == []
    assert tokens.claims == [claims]


async def test_no_request_goes_out_beyond_the_budget() -> None:
    now = [datetime(2026, 3, 16, 6, tzinfo=UTC)]
    budget = Budget("share", Limits(5, 2), lambda: now[0])
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={"value": []})

    transport = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    reader = GraphClient(lambda: transport, Tokens(), base_url=GRAPH, allow=budget.take)
    waits = []
    for allowed in (2, 2, 1, 2):
        for _ in range(allowed):
            await reader.list(ISSUES)
        with pytest.raises(VendorError) as caught:
            await reader.list(ISSUES)
        assert caught.value.code == "budget"
        wait = caught.value.retry_after or timedelta(0)
        waits.append(wait.total_seconds())
        now[0] += wait
    assert reader.requests == len(sent) == 7
    assert waits == [70.0, 70.0, 3470.0, 70.0]


async def test_the_vendors_clock_is_heard() -> None:
    wall = datetime(2026, 3, 16, 6, tzinfo=UTC)
    date = {"date": "Mon, 16 Mar 2026 06:10:00 GMT"}
    transport = httpx.AsyncClient(
        transport=httpx.MockTransport(always(200, headers=date, json={"value": []}))
    )
    reader = GraphClient(lambda: transport, Tokens(), base_url=GRAPH, wall=lambda: wall)
    await reader.list(ISSUES)
    assert reader.ahead == timedelta(minutes=10)


async def test_a_second_401_is_an_error() -> None:
    error = await failure(always(401, json={"error": {"code": "InvalidAuthenticationToken"}}))
    assert (error.code, error.status) == ("unauthorized", 401)


@pytest.mark.parametrize(
    ("made", "word"),
    [
        ({"content": b""}, "empty"),
        ({"html": "<html>Sign in</html>"}, "HTML"),
        ({"content": b'{"value": [{"id": "1"'}, "cut off"),
        ({"content": b"[1, 2]"}, "no JSON object"),
        ({"content": b'"just text"'}, "no JSON object"),
        ({"content": b'{"value": "\xff"}'}, "no value array"),
        ({"content": b"[" * 100_000}, "no JSON object"),
        ({"json": {"something": "else"}}, "no value array"),
        ({"json": {"value": None}}, "no value array"),
    ],
)
async def test_odd_successes_are_errors(made: dict[str, Any], word: str) -> None:
    error = await failure(always(200, **made))
    assert error.code == "odd_body"
    assert word in error.text


async def test_double_encoded_json_and_a_byte_order_mark_are_read() -> None:
    page = json.dumps({"value": [{"id": "1"}, "noise"]})
    assert await client(always(200, json=page)).list(ISSUES) == [{"id": "1"}, {}]
    marked = b"\xef\xbb\xbf" + page.encode()
    assert await client(always(200, content=marked)).list(ISSUES) == [{"id": "1"}, {}]


async def test_half_a_character_does_not_hide_the_page() -> None:
    cut = rb'{"value": [{"id": "1", "title": "\ud83d cut"}, {"id": "2", "title": "\ud83d\ude00"}]}'
    (first, second) = await client(always(200, content=cut)).list(ISSUES)
    assert (first["title"], second["title"]) == ("\ufffd cut", "\U0001f600")
    latin = '{"value": [{"id": "1", "title": "caf\xe9"}]}'.encode("latin-1")
    assert (await client(always(200, content=latin)).list(ISSUES))[0]["title"] == "caf\ufffd"


async def test_an_error_that_says_200_is_an_error() -> None:
    error = await failure(always(200, json={"error": {"code": "TooManyRequests", "message": "m"}}))
    assert error.code == "throttled"
    error = await failure(always(200, json={"error": "odd"}))
    assert error.code == "vendor_error"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "bad_request"),
        (403, "forbidden"),
        (404, "not_found"),
        (429, "throttled"),
        (500, "unavailable"),
        (503, "unavailable"),
        (302, "vendor_error"),
    ],
)
async def test_refusals_by_status(status: int, code: str) -> None:
    error = await failure(always(status, json={"error": {"code": "Whatever", "message": "told"}}))
    assert (error.code, error.status) == (code, status)
    assert "told" in error.text


@pytest.mark.parametrize("status", [403, 404, 400])
async def test_an_unknown_id_wears_forbidden_and_is_not_found(status: int) -> None:
    with pytest.raises(VendorError) as caught:
        await client(always(status, json=ERRORS[1]["body"])).get(f"{ISSUES}/EX1")
    assert caught.value.code == "not_found"


async def test_a_proxy_that_says_404_or_403_does_not_speak_for_graph() -> None:
    assert (await failure(always(404, html="<html>no</html>"))).code == "odd_body"
    assert (await failure(always(403, text="Forbidden"))).code == "forbidden"


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (httpx.ConnectError("no"), "unreachable"),
        (httpx.ReadTimeout("slow"), "timeout"),
        (httpx.RemoteProtocolError("cut"), "unreachable"),
        (httpx.DecodingError("gzip"), "odd_body"),
    ],
)
async def test_silence_has_a_code(raised: httpx.HTTPError, code: str) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise raised

    assert (await failure(answer)).code == code


async def test_an_answer_beyond_belief_is_refused() -> None:
    answer = always(200, json={"value": [{"id": "long enough"}]})
    transport = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    reader = GraphClient(lambda: transport, Tokens(), base_url=GRAPH, page_bytes=10)
    with pytest.raises(VendorError) as caught:
        await reader.list(ISSUES)
    assert caught.value.code == "too_large"


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "12"}, timedelta(seconds=12)),
        ({"retry-after": "-3"}, timedelta(0)),
        ({"retry-after": "1e99"}, None),
        ({"retry-after": "999999"}, timedelta(hours=1)),
        (
            {
                "date": "Mon, 16 Mar 2026 06:00:00 GMT",
                "retry-after": "Mon, 16 Mar 2026 06:00:30 GMT",
            },
            timedelta(seconds=30),
        ),
        ({"retry-after": "Mon, 16 Mar 2026 06:00:30 GMT"}, None),
        ({"retry-after": "soon"}, None),
    ],
)
def test_retry_after_in_both_forms(headers: dict[str, str], wait: timedelta | None) -> None:
    assert retry_after(headers) == wait


# -- against the stand-in, over sockets ----------------------------------------------------------


async def test_after_a_503_the_next_request_takes_a_new_connection(
    standins: StandIns, http: httpx.AsyncClient
) -> None:
    facts = standins.facts()

    class Bearer(Tokens):
        async def get(self) -> str:
            registration = standins.graph.entra.registrations[0]
            return standins.graph.entra.issue(registration, facts["base_url"])

    ports: list[int] = []

    async def note(response: httpx.Response) -> None:
        stream = response.extensions["network_stream"]
        ports.append(stream.get_extra_info("client_addr")[1])

    http.event_hooks = {"response": [note]}
    reader = GraphClient(lambda: http, Bearer(), base_url=facts["base_url"])
    for mode in (Mode.OK, Mode.OK, Mode.UNAVAILABLE, Mode.OK, Mode.ERROR, Mode.OK):
        standins.graph.graph_fault.mode = mode
        with contextlib.suppress(VendorError):
            await reader.list(ISSUES)
    kept, after = set(ports[:3]), set(ports[3:])
    assert (len(kept), len(after)) == (1, 1)
    assert kept != after
