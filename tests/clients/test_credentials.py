"""Every kind of credential signs in at the stand-in; msal's traps are sprung, not stepped into."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID

from app.clients.credentials import (
    Certificate,
    FederatedToken,
    ManagedIdentity,
)
from app.clients.entra import AGAIN, roles_in
from app.kit.certificates import UnreadableCertificate, read_certificate
from tests.clients.signing import Sign, refusal
from tests.standins.__main__ import TENANT, Server, StandIns
from tests.standins.entra import SERVICE_HEALTH_ROLE, Registration
from tests.standins.machine import HEADER, Machine

PASSWORD = "a pass phrase"
OTHER = "0e1f2a3b-0000-4000-8000-000000000001"
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def a_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certified(key: Key, name: str = "sextant") -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )


def pem(key: Key, *certificates: x509.Certificate, password: str | None = None) -> bytes:
    cipher = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    parts = [made.public_bytes(Encoding.PEM) for made in certificates]
    return b"".join([*parts, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, cipher)])


def pfx(key: rsa.RSAPrivateKey, made: x509.Certificate, password: str | None) -> bytes:
    cipher = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return pkcs12.serialize_key_and_certificates(b"sextant", key, made, None, cipher)


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return a_key()


# -- certificates --------------------------------------------------------------------------------


@pytest.mark.parametrize("password", [None, PASSWORD])
@pytest.mark.parametrize("form", ["pem", "pfx"])
async def test_a_certificate_signs_in(
    standins: StandIns, sign: Sign, key: rsa.RSAPrivateKey, tmp_path: Path, form: str,
    password: str | None,
) -> None:  # fmt: skip
    made = certified(key)
    chain = certified(a_key(), "some authority")
    content = (
        pem(key, chain, made, password=password) if form == "pem" else pfx(key, made, password)
    )
    file = tmp_path / "credential.bin"  # what it is, is seen from its bytes
    file.write_bytes(content)
    standins.graph.entra.registrations[0].certificates.append(made)
    token = await sign(Certificate(str(file), password)).get()
    assert roles_in(token) == (SERVICE_HEALTH_ROLE,)
    read = read_certificate(file, password)
    assert read.thumbprint == made.fingerprint(hashes.SHA1()).hex().upper()
    assert read.not_after == made.not_valid_after_utc


async def test_a_certificate_that_is_not_registered_is_refused_by_its_number(
    sign: Sign, key: rsa.RSAPrivateKey, tmp_path: Path
) -> None:
    file = tmp_path / "sextant.pem"
    file.write_bytes(pem(key, certified(key)))
    error = await refusal(sign(Certificate(str(file))))
    assert (error.code, error.number) == ("token_refused", 700027)


async def test_a_clock_that_is_wrong_is_told_as_such(
    standins: StandIns, sign: Sign, key: rsa.RSAPrivateKey, tmp_path: Path
) -> None:
    made = certified(key)
    file = tmp_path / "sextant.pem"
    file.write_bytes(pem(key, made))
    entra = standins.graph.entra
    entra.registrations[0].certificates.append(made)
    wall = entra.wall
    entra.wall = lambda: wall() + timedelta(minutes=30)
    assert (await refusal(sign(Certificate(str(file))))).number == 700024


async def test_a_renewed_certificate_is_taken_up_and_half_a_file_is_not(
    standins: StandIns, sign: Sign, key: rsa.RSAPrivateKey, tmp_path: Path
) -> None:
    clock = [0.0]
    old, new_key = certified(key), a_key()
    new = certified(new_key)
    entra = standins.graph.entra
    entra.lifetime = timedelta(seconds=301)  # so that msal's memory holds for a second only
    entra.registrations[0].certificates[:] = [old]
    file = tmp_path / "sextant.pem"
    file.write_bytes(pem(key, old))
    tokens = sign(Certificate(str(file)), monotonic=lambda: clock[0])
    assert await tokens.get()
    file.write_bytes(pem(new_key, new)[:300])
    clock[0] += 3600
    assert await tokens.get()  # by the old one
    entra.registrations[0].certificates[:] = [new]
    file.write_bytes(pem(new_key, new))
    os.utime(file, ns=(1, 1))
    clock[0] += 3600
    assert await tokens.get()


@pytest.mark.parametrize(
    ("make", "password", "word"),
    [
        (lambda key: b"hello", None, "neither PEM nor PFX"),
        (lambda key: certified(key).public_bytes(Encoding.PEM), None, "no private key"),
        (pem, None, "no certificate"),
        (lambda key: pem(key, certified(a_key())), None, "no certificate that fits"),
        (lambda key: pem(key, certified(key), password=PASSWORD), None, "needs a password"),
        (lambda key: pem(key, certified(key), password=PASSWORD), "wrong", "password is wrong"),
        (lambda key: pfx(key, certified(key), PASSWORD), "wrong", "password is wrong"),
        (lambda key: b"0\x82nonsense", None, "does not parse"),
        (lambda key: pem(k := ec.generate_private_key(ec.SECP256R1()), certified(k)), None, "RSA"),
    ],
)
async def test_a_file_that_gives_no_certificate_says_why(
    sign: Sign, key: rsa.RSAPrivateKey, tmp_path: Path,
    make: Callable[[rsa.RSAPrivateKey], bytes], password: str | None, word: str,
) -> None:  # fmt: skip
    file = tmp_path / "sextant.pem"
    file.write_bytes(make(key))
    with pytest.raises(UnreadableCertificate, match=word):
        read_certificate(file, password)
    error = await refusal(sign(Certificate(str(file), password)))
    assert error.code == "credential_unreadable"
    assert word in error.text


async def test_a_file_that_is_not_there_is_named(sign: Sign, tmp_path: Path) -> None:
    error = await refusal(sign(Certificate(str(tmp_path / "gone.pem"))))
    assert error.code == "credential_unreadable"
    assert "gone.pem" in error.text
    assert str(tmp_path) not in error.text


# -- federated tokens ----------------------------------------------------------------------------


def assertion(subject: str) -> str:
    from tests.standins.entra import _segment  # noqa: PLC0415

    head = {"typ": "JWT", "alg": "RS256", "kid": "platform"}
    return f"{_segment(head)}.{_segment({'sub': subject, 'aud': 'api://AzureADTokenExchange'})}.x"


async def test_a_federated_token_is_read_at_every_sign_in(
    standins: StandIns, sign: Sign, tmp_path: Path
) -> None:
    clock = [0.0]
    entra = standins.graph.entra
    entra.lifetime = timedelta(seconds=301)
    entra.registrations[0].subjects = frozenset({"first"})
    file = tmp_path / "token"
    file.write_text(assertion("first"))
    tokens = sign(FederatedToken(str(file)), monotonic=lambda: clock[0])
    assert await tokens.get()
    entra.registrations[0].subjects = frozenset({"second"})
    await tokens.drop()
    error = await refusal(tokens)
    assert (error.code, error.number) == ("token_refused", 70021)
    file.write_text(assertion("second"))
    assert await tokens.get()


async def test_a_federated_token_that_is_gone_does_not_cost_a_token_in_hand(
    standins: StandIns, sign: Sign, tmp_path: Path
) -> None:
    clock = [0.0]
    entra = standins.graph.entra
    entra.refresh_in = -1  # an early refresh is due at once
    entra.registrations[0].subjects = frozenset({"first"})
    file = tmp_path / "token"
    file.write_text(assertion("first"))
    tokens = sign(FederatedToken(str(file)), monotonic=lambda: clock[0])
    held = await tokens.get()
    file.unlink()
    clock[0] += AGAIN + 1
    assert await tokens.get() == held
    await tokens.drop()
    error = await refusal(tokens)
    assert error.code == "credential_unreadable"
    file.write_text("")
    assert "empty" in (await refusal(tokens)).text


# -- managed identities --------------------------------------------------------------------------


@pytest.fixture
async def machine(standins: StandIns, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Machine]:
    """A machine with an identity of its own and another; only its system's may read."""
    entra = standins.graph.entra
    own = Registration(tenant=TENANT, client="system", secrets={})
    other = Registration(tenant=TENANT, client=OTHER, secrets={}, roles=())
    made = Machine(entra=entra, identities={"": own, OTHER: other})
    sock = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(made.app(), log_level="critical", lifespan="off", access_log=False)
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    while not server.started:  # noqa: ASYNC110 - uvicorn tells by a flag alone
        await asyncio.sleep(0.01)
    root = f"http://127.0.0.1:{sock.getsockname()[1]}"
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", root)
    monkeypatch.setenv("STANDIN_MACHINE", root)
    yield made
    server.should_exit = server.force_exit = True
    await task


async def test_a_machine_signs_in_as_itself_or_as_a_named_identity(
    machine: Machine, sign: Sign, standins: StandIns
) -> None:
    token = await sign(ManagedIdentity(), client="").get()
    assert roles_in(token) == (SERVICE_HEALTH_ROLE,)
    named = await sign(ManagedIdentity(OTHER), client="").get()
    assert roles_in(named) == ()
    assert [query.get("client_id") for query in machine.asked] == [None, OTHER]
    assert {query["resource"] for query in machine.asked} == {standins.facts()["base_url"]}


async def test_app_service_has_an_endpoint_of_its_own(
    machine: Machine, sign: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{os.environ['STANDIN_MACHINE']}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", HEADER)
    assert roles_in(await sign(ManagedIdentity(), client="").get()) == (SERVICE_HEALTH_ROLE,)


async def test_a_machine_without_that_identity_says_so(machine: Machine, sign: Sign) -> None:
    error = await refusal(sign(ManagedIdentity("unknown"), client=""))
    assert error.code == "token_refused"
    assert "Identity not found" in error.text


async def test_a_machine_whose_endpoint_is_down_is_tried_again(
    machine: Machine, sign: Sign
) -> None:
    tokens = sign(ManagedIdentity(), client="")
    machine.down = True
    assert (await refusal(tokens)).code == "token_unavailable"
    machine.down = False
    await tokens.drop()
    assert await tokens.get()


async def test_outside_of_azure_there_is_no_endpoint(
    sign: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{port}")
    error = await refusal(sign(ManagedIdentity(), client=""))
    assert error.code == "token_unavailable"
    assert "managed identity" in error.text
