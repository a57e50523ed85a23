"""The Graph client: tokens, complete lists, and every odd answer by its name."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.clients.graph import EntraTokens, GraphClient, VendorError, build_clients, retry_after

GRAPH = "https://graph.test"
ISSUES = "admin/serviceAnnouncement/issues"
ERRORS = json.loads((Path(__file__).parent.parent / "fixtures/graph/errors.json").read_text())
Answer = Callable[[httpx.Request], httpx.Response]


class Tokens:
    def __init__(self) -> None:
        self.number = 1
        self.dropped = 0

    async def get(self) -> str:
        return f"token-{self.number}"

    async def drop(self) -> None:
        self.dropped += 1
        self.number += 1

    def close(self) -> None:
        pass


def client(answer: Answer, tokens: Tokens | None = None) -> GraphClient:
    transport = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return GraphClient(transport, tokens or Tokens(), base_url=f"{GRAPH}/")


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
        ({"content": b'{"value": "\xff"}'}, "no JSON object"),
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
    assert await client(always(200, json=page)).list(ISSUES) == [{"id": "1"}]
    marked = b"\xef\xbb\xbf" + page.encode()
    assert await client(always(200, content=marked)).list(ISSUES) == [{"id": "1"}]


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
    reader = GraphClient(transport, Tokens(), base_url=GRAPH, page_bytes=10)
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


# -- Entra ---------------------------------------------------------------------------------------

TENANT = "11111111-1111-1111-1111-111111111111"
AUTHORITY = f"https://login.fake.test/{TENANT}"
METADATA = {
    "authorization_endpoint": f"{AUTHORITY}/oauth2/v2.0/authorize",
    "token_endpoint": f"{AUTHORITY}/oauth2/v2.0/token",
    "issuer": f"{AUTHORITY}/v2.0",
    "tenant_region_scope": "EU",
}


class Entra:
    """An Entra whose token endpoint answers from a list."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []
        self.down = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("down")
        if request.method == "GET":
            return httpx.Response(200, json=METADATA)
        self.asked.append(request)
        made = self.answers.pop(0) if self.answers else token("good")
        if isinstance(made, Exception):
            raise made
        return made

    def tokens(self) -> EntraTokens:
        return EntraTokens(
            lambda: httpx.Client(transport=httpx.MockTransport(self)),
            authority=AUTHORITY,
            client_id="app",
            secret="s3cret",
            scope=f"{GRAPH}/.default",
        )


def token(text: str, **more: int) -> httpx.Response:
    body = {"token_type": "Bearer", "expires_in": 3600, "access_token": text, **more}
    return httpx.Response(200, json=body)


async def test_fifty_callers_share_one_token() -> None:
    entra = Entra()
    tokens = entra.tokens()
    assert set(await asyncio.gather(*(tokens.get() for _ in range(50)))) == {"good"}
    assert len(entra.asked) == 1
    form = entra.asked[0].content.decode()
    assert "client_secret=s3cret" in form
    assert "graph.test%2F.default" in form
    tokens.close()


async def test_a_dropped_token_is_asked_for_again() -> None:
    entra = Entra(token("one"), token("two"))
    tokens = entra.tokens()
    await tokens.drop()
    assert await tokens.get() == "one"
    await tokens.drop()
    assert await tokens.get() == "two"


async def test_a_wrong_secret_is_refused_in_a_sentence() -> None:
    body = {
        "error": "invalid_client",
        "error_description": "AADSTS7000215: Invalid secret.\r\nTrace",
    }
    tokens = Entra(httpx.Response(401, json=body)).tokens()
    with pytest.raises(VendorError) as caught:
        await tokens.get()
    assert caught.value.code == "token_refused"
    assert caught.value.text.endswith("AADSTS7000215: Invalid secret.")


async def test_entra_down_at_the_start_is_survived() -> None:
    entra = Entra()
    entra.down = True
    tokens = entra.tokens()
    with pytest.raises(VendorError) as caught:
        await tokens.get()
    assert caught.value.code == "token_unavailable"
    entra.down = False
    assert await tokens.get() == "good"


@pytest.mark.parametrize(
    "trouble",
    [httpx.Response(503, text="busy"), httpx.ConnectError("down"), httpx.ReadTimeout("x")],
)
async def test_an_early_refresh_that_fails_leaves_the_token_in_hand(trouble: Any) -> None:
    entra = Entra(token("old", refresh_in=-1), trouble)
    tokens = entra.tokens()
    assert await tokens.get() == "old"
    assert await tokens.get() == "old"
    assert len(entra.asked) == 2


async def test_an_entra_that_talks_nonsense_is_unavailable() -> None:
    tokens = Entra(httpx.Response(200, json={"error": "temporarily_unavailable"})).tokens()
    with pytest.raises(VendorError) as caught:
        await tokens.get()
    assert caught.value.code == "token_unavailable"

    html = EntraTokens(
        lambda: httpx.Client(transport=httpx.MockTransport(always(200, html="<p>proxy</p>"))),
        authority=AUTHORITY,
        client_id="app",
        secret="s3cret",
        scope="x",
    )
    with pytest.raises(VendorError) as caught:
        await html.get()
    assert caught.value.code == "token_unavailable"


async def test_clients_are_built_verified_and_without_redirects() -> None:
    asynchronous, synchronous = build_clients(None, 5.0)
    plain = synchronous()
    assert not asynchronous.follow_redirects
    assert not plain.follow_redirects
    plain.close()
    await asynchronous.aclose()
