"""msal's traps, sprung against the stand-in: none of them costs us a token or a start."""

import asyncio
import ssl

import httpx
import pytest

from app.clients.credentials import (
    Application,
    Secret,
)
from app.clients.entra import AGAIN, EntraTokens, roles_in
from tests.clients.signing import Sign, refusal
from tests.standins.__main__ import CLIENT, TENANT, StandIns
from tests.standins.conftest import SECRET
from tests.standins.entra import Registration
from tests.standins.faults import Mode

OTHER = "0e1f2a3b-0000-4000-8000-000000000001"


async def test_the_constructor_asks_entra_so_it_waits_for_the_first_token(
    standins: StandIns, sign: Sign
) -> None:
    standins.graph.entra_fault.mode = Mode.UNAVAILABLE
    tokens = sign(Secret(SECRET))  # an Entra that is down does not keep us from starting
    assert standins.graph.entra.asked == 0
    error = await refusal(tokens)
    assert error.code == "token_unavailable"
    standins.graph.entra_fault.mode = Mode.OK
    assert await tokens.get()


@pytest.mark.parametrize("mode", [Mode.UNAVAILABLE, Mode.ERROR, Mode.HTML, Mode.TRUNCATED])
async def test_a_refresh_that_fails_leaves_the_token_that_is_still_valid(
    standins: StandIns, sign: Sign, mode: Mode
) -> None:
    clock = [0.0]
    standins.graph.entra.refresh_in = -1
    tokens = sign(Secret(SECRET), monotonic=lambda: clock[0])
    held = await tokens.get()
    standins.graph.entra_fault.mode = mode
    for _ in range(3):
        clock[0] += AGAIN + 1
        assert await tokens.get() == held
    standins.graph.entra_fault.mode = Mode.OK


async def test_a_refusal_is_not_repeated_from_memory_once_it_is_mended(
    standins: StandIns, sign: Sign
) -> None:
    tokens = sign(Secret(SECRET), client=OTHER)
    error = await refusal(tokens)
    assert (error.code, error.number) == ("token_refused", 700016)
    mended = Registration(tenant=TENANT, client=OTHER, secrets={SECRET: None})
    standins.graph.entra.registrations.append(mended)
    assert await tokens.get()  # msal alone would repeat the 400 for a minute


async def test_fifty_callers_sign_in_once_and_an_early_refresh_does_not_ask_each_time(
    standins: StandIns, sign: Sign
) -> None:
    standins.graph.entra.refresh_in = -1
    tokens = sign(Secret(SECRET))
    assert len(set(await asyncio.gather(*(tokens.get() for _ in range(50))))) == 1
    for _ in range(20):
        await tokens.get()
    assert standins.graph.entra.asked == 1


async def test_the_environment_does_not_send_us_to_a_region(
    standins: StandIns, sign: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MSAL_FORCE_REGION", "westeurope")
    assert await sign(Secret(SECRET)).get()
    assert standins.graph.entra.asked == 1


async def test_claims_of_a_challenge_reach_entra_once(standins: StandIns, sign: Sign) -> None:
    tokens = sign(Secret(SECRET))
    await tokens.get()
    await tokens.drop('{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}')
    await tokens.get()
    await tokens.drop()
    await tokens.get()
    (asked,) = standins.graph.entra.claims_asked
    assert "1604106651" in asked


async def test_an_authority_that_tls_does_not_trust_is_out_of_reach(standins: StandIns) -> None:
    facts = standins.facts()
    who = Application(
        authority=f"{facts['authority']}/{TENANT}",
        client_id=CLIENT,
        scope="x/.default",
        credential=Secret(SECRET),
    )
    with httpx.Client(verify=ssl.create_default_context(), trust_env=False) as strict:
        error = await refusal(EntraTokens(lambda: strict, who))
    assert error.code == "token_unavailable"
    assert "certificate verify failed" in error.text


def test_a_token_that_cannot_be_looked_into_tells_nothing() -> None:
    assert roles_in("opaque") is None
    assert roles_in("a.b.c") is None
    assert roles_in("a.eyJ4IjoxfQ.c") == ()
