"""The receiver stand-in verifies by the specification and refuses each event once."""

import base64
import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from standardwebhooks import Webhook

from tests.standins.__main__ import StandIns
from tests.standins.receiver import BadSignature, verify

SECRET = f"whsec_{base64.b64encode(b'k' * 32).decode()}"
# Test vector of the specification's reference libraries.
VECTOR_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTOR_BODY = b'{"test": 2432232314}'
VECTOR_HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
VECTOR_NOW = datetime.fromtimestamp(1614265330, UTC)


def signed(webhook_id: str, body: bytes, *, at: datetime, secret: str = SECRET) -> dict[str, str]:
    """Sign a body with the official library."""
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, at, body.decode()),
    }


def test_the_vector_of_the_specification_is_valid() -> None:
    given = verify(VECTOR_SECRET, VECTOR_HEADERS, VECTOR_BODY, now=VECTOR_NOW)
    assert given == "msg_p5jXN8AQM9LWM0D4loKWxJek"


def test_one_of_several_signatures_is_enough() -> None:
    several = "v1a,zzz v1,AAAA " + VECTOR_HEADERS["webhook-signature"]
    verify(
        VECTOR_SECRET,
        VECTOR_HEADERS | {"webhook-signature": several},
        VECTOR_BODY,
        now=VECTOR_NOW,
    )


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "no comma"},
        {"webhook-signature": "v1,ümlaut"},
        {"webhook-signature": ""},
        {"webhook-id": "msg_other"},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "1614265331"},
    ],
)
def test_a_changed_header_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(BadSignature):
        verify(VECTOR_SECRET, VECTOR_HEADERS | change, VECTOR_BODY, now=VECTOR_NOW)


def test_a_changed_body_a_missing_header_and_an_old_stamp_are_refused() -> None:
    with pytest.raises(BadSignature, match="fits"):
        verify(VECTOR_SECRET, VECTOR_HEADERS, VECTOR_BODY + b" ", now=VECTOR_NOW)
    with pytest.raises(BadSignature, match="missing"):
        verify(VECTOR_SECRET, {}, VECTOR_BODY, now=VECTOR_NOW)
    for off in (timedelta(seconds=301), timedelta(seconds=-301)):
        with pytest.raises(BadSignature, match="off"):
            verify(VECTOR_SECRET, VECTOR_HEADERS, VECTOR_BODY, now=VECTOR_NOW + off)


async def test_each_event_is_refused_once_and_then_taken(
    standins: StandIns, http: httpx.AsyncClient
) -> None:
    facts = standins.facts()
    event = {"id": "evt_1", "type": "incident.opened", "sequence": 4}
    body = json.dumps(event | {"data": {"incident": {"id": "inc_1"}}}).encode()
    headers = signed("evt_1", body, at=datetime.now(UTC))
    early = await http.post(facts["receiver"], content=body, headers=headers)
    assert early.status_code == 503
    await http.post(f"{facts['control']}/secret", json={"secret": SECRET})
    answers = [await http.post(facts["receiver"], content=body, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [503, 204]
    forged = await http.post(facts["receiver"], content=body + b" ", headers=headers)
    assert forged.status_code == 401
    page = (await http.get(f"{facts['control']}/received", params={"after": 1})).json()
    assert [item["status"] for item in page["items"]] == [503, 204, 401]
    taken = page["items"][1]
    assert (taken["id"], taken["incident"], taken["sequence"]) == ("evt_1", "inc_1", 4)
    assert page["next"] == 4
