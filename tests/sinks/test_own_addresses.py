"""The corpus of hostile addresses at mirrors and token endpoints: written, and named by others."""

from urllib.parse import urlsplit

import httpx
import pytest
from pydantic import BaseModel, ValidationError

from app.clients.errors import VendorError
from app.clients.servicenow import Basic, ClientCredentials, ServiceNowClient, SignIn
from app.kit import http
from app.sinks.servicenow.settings import MirrorSettings
from app.sinks.smtp import SmtpOAuth
from app.sources.graph.settings import GraphSettings
from tests.builders import NOW
from tests.kit.test_http import HOSTILE, NAMES

INSTANCE = "https://example.service-now.com"
# An operator may mean a machine of their own, and any port of it.
PRIVATE = {
    "127.0.0.1", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:ffff:127.0.0.1",
    "127\u30020\u30020\u30021", "\uff11\uff12\uff17.0.0.1",  # as IDNA reads them
    "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1",
}  # fmt: skip


def mirror(url: str) -> BaseModel:
    return MirrorSettings.model_validate(
        {"name": "desk", "base_url": url, "credential": {"api_key": "k"}}
    )


def graph(url: str) -> BaseModel:
    return GraphSettings.model_validate(
        {"tenant_id": "t", "client_id": "c", "credential": {"secret": "s"}, "authority": url,
         "base_url": url}
    )  # fmt: skip


def mail(url: str) -> BaseModel:
    return SmtpOAuth.model_validate(
        {"tenant_id": "t", "client_id": "c", "secret": "s", "authority": url.rstrip("/")}
    )


def may_be_meant(url: str) -> bool:
    """A name, which is judged by nobody before it is resolved, or a private machine."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reads it
    except ValueError:
        return False
    named = parts.hostname in NAMES or parts.hostname == "localhost."
    private = parts.scheme == "https" and parts.hostname in PRIVATE
    return private or (parts.scheme == "https" and named and parts.username is None)


@pytest.mark.parametrize("made", [mirror, graph, mail])
def test_what_an_operator_cannot_mean_stops_the_start(made: object) -> None:
    assert callable(made)
    for url in HOSTILE:
        if not may_be_meant(url):
            with pytest.raises(ValidationError):
                made(url)
    for url in (
        INSTANCE,
        "https://10.0.0.1:8443",
        "https://sso.corp.example",
        "http://127.0.0.1:80",
    ):
        if not (made is graph and url.startswith("http:")):  # msal takes no plain authority
            made(url)


async def asked_of(location: str, sign_in: SignIn) -> tuple[set[str], VendorError]:
    """Which hosts are asked when everything answers with a redirect; and what we are told."""
    hosts: set[str] = set()

    def answer(request: httpx.Request) -> httpx.Response:
        hosts.add(request.url.host)
        return httpx.Response(307, headers=[(b"location", location.encode())])

    client = ServiceNowClient(
        http.client(base_url=INSTANCE, transport=httpx.MockTransport(answer)), sign_in
    )
    with pytest.raises(VendorError) as told:
        await client.post("/api/now/table/incident", {}, {"short_description": "x"})
    await client.aclose()
    return hosts, told.value


@pytest.mark.parametrize("by_token", [False, True])
async def test_a_mirror_and_its_token_endpoint_send_us_nowhere(*, by_token: bool) -> None:
    own = urlsplit(INSTANCE).hostname
    for url in HOSTILE:
        token = ClientCredentials("id", "secret", now=lambda: NOW)
        hosts, told = await asked_of(url, token if by_token else Basic("u", "p"))
        assert hosts == {own}, url
        assert told.code in {"moved", "unreachable", "lost"}  # the last two: it cannot be read
