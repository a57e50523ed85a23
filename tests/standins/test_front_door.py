"""The front door stand-in misbehaves by location, path and story time."""

import httpx
import pytest

from app.kit.clock import FixedClock
from tests.standins.__main__ import StandIns

EMPTY = {"authorization": "Bearer"}


@pytest.fixture
def door(standins: StandIns) -> str:
    """The address of the front door."""
    return str(standins.facts()["front_door"])


async def test_a_healthy_door_leads_to_sign_in_and_challenges(
    http: httpx.AsyncClient, door: str, clock: FixedClock
) -> None:
    clock.at = clock.at.replace(hour=5, minute=0)
    owa = await http.get(f"{door}/berlin/owa/")
    assert owa.status_code == 302
    assert owa.headers["location"].startswith("https://login.microsoftonline.com/")
    sync = await http.options(f"{door}/berlin/Microsoft-Server-ActiveSync", headers=EMPTY)
    assert sync.status_code == 401
    assert sync.headers["www-authenticate"].startswith('Bearer client_id="00000002-')
    bare = await http.options(f"{door}/berlin/Microsoft-Server-ActiveSync")
    assert (bare.status_code, "x-ms-location" in bare.headers) == (451, True)
    mapi = await http.get(f"{door}/london/mapi/emsmdb/", headers=EMPTY)
    assert mapi.status_code == 401
    assert (await http.get(f"{door}/berlin/control")).text == "ok"


async def test_in_the_outage_each_location_fails_in_its_own_way(
    standins: StandIns, http: httpx.AsyncClient, door: str
) -> None:
    assert (await http.get(f"{door}/berlin/owa/")).status_code == 503
    for place in ("berlin", "london", "new-york"):
        assert (await http.get(f"{door}/{place}/control")).status_code == 200
    with pytest.raises(httpx.ReadTimeout):
        await http.get(f"{door}/berlin/mapi/emsmdb/", headers=EMPTY, timeout=0.3)
    prompt = await http.options(f"{door}/london/Microsoft-Server-ActiveSync", headers=EMPTY)
    assert (prompt.status_code, prompt.headers["www-authenticate"]) == (401, 'Basic realm=""')
    assert standins.front_door.counted[("berlin", "mapi", "hang")] == 1


async def test_a_sign_in_loop_never_ends(http: httpx.AsyncClient, door: str) -> None:
    seen, url = [], f"{door}/new-york/owa/"
    for _ in range(6):
        answer = await http.get(url)
        assert answer.status_code == 302
        url = f"{door}{answer.headers['location']}"
        seen.append(url)
    assert len(set(seen)) == 6


async def test_in_the_local_fault_everything_of_that_office_breaks_off(
    http: httpx.AsyncClient, door: str, clock: FixedClock
) -> None:
    clock.at = clock.at.replace(hour=5, minute=20)
    for path in ("owa/", "mapi/emsmdb/", "control"):
        with pytest.raises(httpx.TransportError):
            await http.get(f"{door}/berlin/{path}")
    assert (await http.get(f"{door}/london/control")).status_code == 200


async def test_the_location_may_come_as_a_header(http: httpx.AsyncClient, door: str) -> None:
    answer = await http.get(f"{door}/owa/", headers={"x-standin-location": "berlin"})
    assert answer.status_code == 503


async def test_after_the_vendors_word_london_still_fails(
    http: httpx.AsyncClient, door: str, clock: FixedClock
) -> None:
    clock.at = clock.at.replace(hour=8, minute=10)
    assert (await http.get(f"{door}/berlin/owa/")).status_code == 302
    assert (await http.get(f"{door}/london/owa/")).status_code == 503
    clock.at = clock.at.replace(hour=8, minute=35)
    assert (await http.get(f"{door}/london/owa/")).status_code == 302
