"""Signing in at the stand-in with any credential."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from app.clients.credentials import (
    Application,
    Credential,
)
from app.clients.entra import EntraTokens
from app.clients.errors import VendorError
from tests.standins.__main__ import CLIENT, TENANT, StandIns


@pytest.fixture
def http_for_msal(standins: StandIns) -> Iterator[httpx.Client]:
    context = standins.certificates.client_context()
    with httpx.Client(verify=context, trust_env=False, timeout=5) as made:
        yield made


Sign = Callable[..., EntraTokens]


@pytest.fixture
def sign(standins: StandIns, http_for_msal: httpx.Client) -> Sign:
    facts = standins.facts()

    def make(
        credential: Credential,
        *,
        client: str = CLIENT,
        monotonic: Callable[[], float] | None = None,
    ) -> EntraTokens:
        who = Application(
            authority=f"{facts['authority']}/{TENANT}",
            client_id=client,
            scope=f"{facts['base_url']}/.default",
            credential=credential,
            timeout_seconds=2.0,
        )
        more = {} if monotonic is None else {"monotonic": monotonic}
        return EntraTokens(lambda: http_for_msal, who, **more)

    return make


async def refusal(tokens: EntraTokens) -> VendorError:
    with pytest.raises(VendorError) as caught:
        await tokens.get()
    return caught.value
