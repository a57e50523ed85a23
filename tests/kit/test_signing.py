"""Signatures: the published vectors, the official package both ways, and hostile input."""

import base64
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from app.kit.signing import (
    BadSignature,
    headers,
    new_secret,
    public_key,
    sign,
    verify,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = datetime.fromtimestamp(1614265330, UTC)
BODY = b'{"test": 2432232314}'
PRIVATE = (
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
)
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
SIGNED_V1A = (
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
)


def test_the_published_vector_of_v1() -> None:
    made = sign(SECRET, message_id=ID, at=AT, body=BODY)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_published_vector_of_v1a() -> None:
    assert sign(PRIVATE, message_id=ID, at=AT, body=BODY) == SIGNED_V1A
    assert public_key(PRIVATE) == PUBLIC
    signed = headers([PRIVATE], message_id=ID, at=AT, body=BODY)
    verify([PUBLIC], headers=signed, body=BODY, now=AT)


def test_the_official_package_accepts_what_we_sign() -> None:
    secret = new_secret()
    now = datetime.now(UTC)
    signed = headers([secret], message_id="evt_1", at=now, body=BODY)
    assert standardwebhooks.Webhook(secret).verify(BODY, signed) == json.loads(BODY)


def test_we_accept_what_the_official_package_signs() -> None:
    secret = new_secret()
    now = datetime.now(UTC)
    signature = standardwebhooks.Webhook(secret).sign("evt_1", now, BODY.decode())
    given_headers = {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(int(now.timestamp())),
        "Webhook-Signature": signature,
    }
    verify([secret], headers=given_headers, body=BODY, now=now)


@pytest.mark.parametrize("signing", ["v1", "v1a"])
def test_either_key_verifies_while_a_secret_is_rotated(signing: str) -> None:
    new, old = new_secret(signing), new_secret(signing)
    signed = headers([new, old], message_id="evt_1", at=AT, body=BODY)
    for secret in (new, old):
        verify([secret], headers=signed, body=BODY, now=AT)
    with pytest.raises(BadSignature):
        verify([new_secret(signing)], headers=signed, body=BODY, now=AT)


def test_an_instant_of_another_zone_signs_the_same_second() -> None:
    berlin = AT.astimezone(timezone(timedelta(hours=1)))
    assert sign(SECRET, message_id=ID, at=berlin, body=BODY) == sign(
        SECRET, message_id=ID, at=AT, body=BODY
    )


@pytest.mark.parametrize("off", [timedelta(seconds=301), timedelta(seconds=-301)])
def test_a_message_out_of_its_time_is_refused(off: timedelta) -> None:
    signed = headers([SECRET], message_id=ID, at=AT, body=BODY)
    with pytest.raises(BadSignature):
        verify([SECRET], headers=signed, body=BODY, now=AT + off)


def test_a_changed_body_is_refused() -> None:
    signed = headers([SECRET], message_id=ID, at=AT, body=BODY)
    with pytest.raises(BadSignature):
        verify([SECRET], headers=signed, body=BODY + b" ", now=AT)


def test_one_scheme_is_not_taken_for_the_other() -> None:
    signed = headers([SECRET], message_id=ID, at=AT, body=BODY)
    signed["webhook-signature"] = signed["webhook-signature"].replace("v1,", "v1a,")
    with pytest.raises(BadSignature):
        verify([SECRET, PUBLIC], headers=signed, body=BODY, now=AT)


HOSTILE_SIGNATURES = [
    "", " ", ",", "v1", "v1,", "v1,,", "v1,a,b", "v1,=", "v1,\u00e9", "v1," + "A" * 43, "v1  v1",
    "v1," + base64.b64encode(b"short").decode(), "v2,AAAA", "\ud800", " ".join(["v1,AAAA"] * 500),
]  # fmt: skip


@pytest.mark.parametrize("signature", HOSTILE_SIGNATURES)
@pytest.mark.parametrize("body", [BODY, b"", b"\xff\xfe", b"not json"])
def test_hostile_signatures_raise_the_one_exception(signature: str, body: bytes) -> None:
    signed = headers([SECRET], message_id=ID, at=AT, body=body)
    signed["webhook-signature"] = signature
    with pytest.raises(BadSignature):
        verify([SECRET, PUBLIC], headers=signed, body=body, now=AT)


@given(
    identity=st.text(max_size=40),
    timestamp=st.text(max_size=20) | st.integers().map(str),
    signature=st.text(max_size=200) | st.just(SIGNED_V1A),
    body=st.binary(max_size=100),
)
def test_no_input_makes_verify_raise_anything_else(
    identity: str, timestamp: str, signature: str, body: bytes
) -> None:
    given_headers = {
        "webhook-id": identity,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature,
    }
    with pytest.raises(BadSignature):
        verify([SECRET, PUBLIC], headers=given_headers, body=body, now=AT)


def test_an_id_with_a_dot_is_never_signed() -> None:
    with pytest.raises(ValueError, match="dot"):
        sign(SECRET, message_id="a.b", at=AT, body=BODY)


@pytest.mark.parametrize("bad", ["whsec_", "whsec_AAAA", "whsec_not base64", "whsk_AAAA"])
def test_a_malformed_key_is_our_own_error(bad: str) -> None:
    with pytest.raises(ValueError, match=r"v1|base64"):
        sign(bad, message_id=ID, at=AT, body=BODY)
