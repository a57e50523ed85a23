"""Tokens of Entra: single flight, early refresh, refusals, and the silence of a sign-in host."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.clients.credentials import Application, Secret
from app.clients.entra import AGAIN, EntraTokens
from app.clients.errors import VendorError

GRAPH = "https://graph.test"
TENANT = "11111111-1111-1111-1111-111111111111"
AUTHORITY = f"https://login.fake.test/{TENANT}"
WHO = Application(
    authority=AUTHORITY, client_id="app", scope=f"{GRAPH}/.default", credential=Secret("s3cret")
)
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

    def tokens(self, monotonic: Callable[[], float] = time.monotonic) -> EntraTokens:
        return EntraTokens(
            lambda: httpx.Client(transport=httpx.MockTransport(self)),
            WHO,
            monotonic=monotonic,
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
    clock = [0.0]
    entra = Entra(token("old", refresh_in=-1), trouble)
    tokens = entra.tokens(lambda: clock[0])
    assert await tokens.get() == "old"
    clock[0] += AGAIN + 1
    assert await tokens.get() == "old"
    assert await tokens.get() == "old"
    assert len(entra.asked) == 2


async def test_an_entra_that_talks_nonsense_is_unavailable() -> None:
    tokens = Entra(httpx.Response(200, json={"error": "temporarily_unavailable"})).tokens()
    with pytest.raises(VendorError) as caught:
        await tokens.get()
    assert caught.value.code == "token_unavailable"

    html = EntraTokens(
        lambda: httpx.Client(
            transport=httpx.MockTransport(lambda _: httpx.Response(200, html="<p>proxy</p>"))
        ),
        WHO,
    )
    with pytest.raises(VendorError) as caught:
        await html.get()
    assert caught.value.code == "token_unavailable"
