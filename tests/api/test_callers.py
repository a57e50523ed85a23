"""Programs that prove by a certificate or a signature who they are; and what a proxy may say."""

import base64
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from fastapi import FastAPI
from pydantic import ValidationError

from app.api.app import create_api
from app.bootstrap import create_app
from app.core.errors import Unauthenticated
from app.core.ports import Posted, PostVerdict
from app.flow import keys
from app.flow.caller_settings import CallerSettings
from app.flow.callers import KnownCallers
from app.kit import signing
from app.kit.clock import FixedClock, SystemClock
from app.settings import Settings
from app.settings.model import ServerSettings
from app.sinks.sextant import SextantUpstream, signer
from app.store.keys import Bounds
from tests.api.conftest import URL, Context
from tests.builders import NOW, TENANT
from tests.standins.server import serving

PROXY, STRANGER, CLIENT = "10.0.0.7", "192.0.2.66", "198.51.100.4"
SECRET = signing.new_secret()
PRIVATE = signing.new_secret("v1a")
LIST = "/v1/incidents"
LINE = b'{"probe":"owa","location":"berlin","outcome":"ok"}'


def behind(world: Context, *callers: dict[str, Any]) -> FastAPI:
    """The application behind proxies of 10.0.0.0/8."""
    world.settings.server = ServerSettings(
        trusted_proxies=("10.0.0.0/8", "fd00::/8"), client_certificate_header="client-cert"
    )
    made = tuple(CallerSettings(tenant=TENANT, **caller) for caller in callers)
    world.callers = KnownCallers(world.db, wall=world.clock, callers=made)
    return create_api(world)


def at(api: FastAPI, address: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(api, client=(address, 5000), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=URL)


HOPS = [
    (PROXY, CLIENT, 200),
    (PROXY, f"203.0.113.9, {CLIENT}", 200),  # what the client says itself counts for nothing
    (PROXY, f"{CLIENT}, 203.0.113.9", 403),
    (PROXY, f"{CLIENT}:51234, 10.1.1.1", 200),  # two proxies, one of which writes ports
    (PROXY, f"{CLIENT}, unknown", 403),
    ("::ffff:10.0.0.7", CLIENT, 200),
    ("fd00::1", f'"[::ffff:{CLIENT}]:443"', 200),
    (PROXY, "", 403),
    (STRANGER, CLIENT, 403),  # anybody can send the header
    (CLIENT, STRANGER, 200),
]


async def test_the_address_of_a_client_is_taken_from_trusted_proxies_alone(world: Context) -> None:
    made = await keys.create(
        world.db, tenant=TENANT, name="a", scopes=["admin"], now=world.clock.now(),
        bounds=Bounds(networks=(f"{CLIENT}/32",)),
    )  # fmt: skip
    api = behind(world)
    for peer, forwarded, status in HOPS:
        headers = {"authorization": f"Bearer {made.secret}"}
        if forwarded:
            headers["x-forwarded-for"] = forwarded
        async with at(api, peer) as client:
            told = await client.get(LIST, headers=headers)
            assert told.status_code == status, (peer, forwarded)


async def test_guesses_are_counted_by_the_client_and_not_by_its_proxy(world: Context) -> None:
    wrong = {"authorization": "Bearer sxt_key_wrong", "x-forwarded-for": CLIENT}
    async with at(behind(world), PROXY) as client:
        told = [(await client.get(LIST, headers=wrong)).status_code for _ in range(21)]
        assert told == [401] * 20 + [429]
        other = {**wrong, "x-forwarded-for": "198.51.100.5"}
        assert (await client.get(LIST, headers=other)).status_code == 401


def a_certificate(*names: str, common: str = "agent", hours: int = 24) -> x509.Certificate:
    """One as a proxy would pass it on, valid for so long from NOW on."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    shown = [x509.UniformResourceIdentifier(one) for one in names]
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(hours=48))
        .not_valid_after(NOW + timedelta(hours=hours))
    )
    if shown:
        builder = builder.add_extension(x509.SubjectAlternativeName(shown), critical=False)
    return builder.sign(key, hashes.SHA256())


def der(certificate: x509.Certificate) -> str:
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()


def escaped(certificate: x509.Certificate) -> str:
    return quote(certificate.public_bytes(Encoding.PEM).decode())


MINE = a_certificate("spiffe://contoso/agents/berlin")
WRITINGS = {
    "rfc9440": f":{der(MINE)}:",
    "haproxy": der(MINE),
    "nginx": escaped(MINE),
}


@pytest.mark.parametrize("known", ["fingerprint", "name", "subject"])
async def test_a_certificate_opens_what_its_caller_may(world: Context, known: str) -> None:
    said = {
        "fingerprint": MINE.fingerprint(hashes.SHA256()).hex(":").upper(),
        "name": "spiffe://contoso/agents/berlin",
        "subject": "CN=agent",
    }[known]
    caller = {"name": "berlin", "scopes": ["probes:write"], "certificate": {known: said}}
    api = behind(world, caller)
    async with at(api, PROXY) as client, at(api, STRANGER) as outside:
        assert (await client.get(LIST)).status_code == 401
        for writing in WRITINGS.values():
            shown = {"client-cert": writing}
            # It is let in, and what it may not do is told so.
            assert (await client.get(LIST, headers=shown)).status_code == 403
            assert (await outside.get(LIST, headers=shown)).status_code == 401


async def test_what_a_certificate_does_is_audited_under_its_callers_name(world: Context) -> None:
    caller = {"name": "robot", "scopes": ["admin"], "certificate": {"subject": "CN=agent"}}
    async with at(behind(world, caller), PROXY) as client:
        shown = {"client-cert": WRITINGS["rfc9440"]}
        body = {"name": "new", "scopes": ["incidents:read"]}
        assert (await client.post("/v1/keys", headers=shown, json=body)).status_code == 201
        (entry,) = (await client.get("/v1/audit", headers=shown)).json()["items"]
    assert entry["actor"] == {"kind": "caller", "id": "caller:robot", "name": "robot"}


BAD = {
    "of nobody": [f":{der(a_certificate(common='else'))}:"],
    "with the name as common name": [f":{der(a_certificate(common='spiffe://contoso/x'))}:"],
    "over": [f":{der(a_certificate(hours=-1))}:"],
    "no certificate": [":aGVsbG8=:"],
    "no base64": ["::"],
    "huge": [":" + "A" * 60_000 + ":"],
    "two, of which one came from outside": [f":{der(MINE)}:", f":{der(MINE)}:"],
    "with something behind": [f":{der(MINE)}:;x"],
}


async def test_other_certificates_open_nothing(world: Context) -> None:
    caller = {
        "name": "berlin",
        "scopes": ["admin"],
        "certificate": {"name": "spiffe://contoso/agents/berlin"},
    }
    async with at(behind(world, caller), PROXY) as client:
        for what, values in BAD.items():
            headers = [("client-cert", value) for value in values]
            answer = await client.get(LIST, headers=headers)
            assert answer.status_code == 401, what
            assert answer.headers["www-authenticate"]


async def test_a_key_goes_before_a_certificate(world: Context) -> None:
    caller = {"name": "robot", "scopes": ["admin"], "certificate": {"subject": "CN=agent"}}
    async with at(behind(world, caller), PROXY) as client:
        headers = {"client-cert": WRITINGS["rfc9440"], "authorization": "Bearer sxt_key_wrong"}
        assert (await client.get(LIST, headers=headers)).status_code == 401


AGENTS = (
    {"name": "berlin", "tenant": TENANT, "scopes": ["probes:write"], "secret": SECRET,
     "locations": ["berlin"]},
    {"name": "paris", "tenant": TENANT, "scopes": ["probes:write"],
     "public_key": signing.public_key(PRIVATE)},
)  # fmt: skip


def known(world: Context) -> KnownCallers:
    callers = tuple(CallerSettings.model_validate(agent) for agent in AGENTS)
    return KnownCallers(world.db, wall=world.clock, callers=callers)


async def test_who_signs_a_body_is_let_in_once_for_each_id(world: Context) -> None:
    callers = known(world)
    for name, secret in (("berlin", SECRET), ("paris", PRIVATE)):
        headers = signer(name, secret, clock=world.clock)(LINE)
        assert (await callers.by_signature(headers, LINE)).id == f"caller:{name}"
        with pytest.raises(Unauthenticated, match="came before"):
            await callers.by_signature(headers, LINE)
        # Another replica, minutes later.
        world.clock.at += timedelta(minutes=4)
        with pytest.raises(Unauthenticated, match="came before"):
            await known(world).by_signature(headers, LINE)


async def test_what_is_not_signed_so_opens_nothing(world: Context) -> None:
    callers = known(world)
    good = signer("berlin", SECRET, clock=world.clock)
    early = FixedClock(NOW - timedelta(minutes=5, seconds=1))
    late = FixedClock(NOW + timedelta(minutes=5, seconds=1))
    tries = [
        (good(LINE), LINE + b" "),
        (good(LINE) | {"sextant-caller": "paris"}, LINE),
        (good(LINE) | {"sextant-caller": "rome"}, LINE),
        (good(LINE) | {"webhook-id": "msg_other"}, LINE),
        (good(LINE) | {"webhook-id": "m" * 300}, LINE),
        (good(LINE) | {"webhook-signature": "v1,AAAA"}, LINE),
        (signer("berlin", signing.new_secret(), clock=world.clock)(LINE), LINE),
        (signer("berlin", SECRET, clock=early)(LINE), LINE),
        (signer("berlin", SECRET, clock=late)(LINE), LINE),
    ]
    for headers, body in tries:
        with pytest.raises(Unauthenticated, match="not signed"):
            await callers.by_signature(headers, body)


async def test_an_agent_delivers_by_its_signature_alone(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "database": {"url": f"sqlite:///{tmp_path}/signed.db"},
            "tenants": [{"id": TENANT}],
            "callers": AGENTS,
        }
    )
    api = create_app(settings)
    lines = [b'{"probe":"owa","location":"%s","outcome":"ok"}' % p for p in (b"berlin", b"rome")]
    try:
        async with serving(api, None) as url:

            async def posted(name: str, secret: str) -> Posted:
                upstream = SextantUpstream(url, signer(name, secret, clock=SystemClock()))
                try:
                    return await upstream.post(lines)
                finally:
                    await upstream.aclose()

            berlin = await posted("berlin", SECRET)
            assert berlin.verdict is PostVerdict.TAKEN
            assert [index for index, _ in berlin.rejected] == [1]  # a location that is not its own
            assert (await posted("berlin", signing.new_secret())).verdict is PostVerdict.LATER
            assert (await posted("paris", PRIVATE)).verdict is PostVerdict.TAKEN
            # The signature does not say what for, so it opens nothing but these doors.
            async with httpx.AsyncClient(base_url=url) as client:
                headers = signer("berlin", SECRET, clock=SystemClock())(b"")
                assert (await client.get(LIST, headers=headers)).status_code == 403
    finally:
        api.state.context.db.close()


@pytest.mark.parametrize(
    ("caller", "complaint"),
    [
        ({}, "needs certificate, secret or public_key"),
        ({"secret": SECRET, "scopes": ["incidents:read"]}, "may bring signals alone"),
        ({"secret": "whsec_AAAA"}, "24 to 64 bytes"),
        ({"public_key": PRIVATE}, "whpk_"),
        ({"certificate": {}}, "one of fingerprint, name and subject"),
        ({"certificate": {"fingerprint": "ab:cd"}}, "64 hexadecimal"),
        ({"certificate": {"name": "x"}}, "server.trusted_proxies"),
        ({"secret": SECRET, "tenant": "nobody"}, "which is not there"),
    ],
)
def test_a_caller_that_cannot_be_meant_stops_the_start(
    caller: dict[str, Any], complaint: str
) -> None:
    whole = {"name": "a", "tenant": TENANT, "scopes": ["probes:write"], **caller}
    with pytest.raises(ValidationError, match=complaint):
        Settings.model_validate({"tenants": [{"id": TENANT}], "callers": [whole]})
