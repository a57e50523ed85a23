"""Checks that sign in tell the vendor's fault from ours, and a mailbox that refuses from both."""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from app.core.desync import Refusals, derive
from app.core.signal import ProbeResult
from app.core.types import Outcome, SelfCheck, Symptom
from app.sources.probe import Probe, ProbeAccount, ProbeSettings, Toolbox
from tests.builders import NOW
from tests.standins.ca import create
from tests.standins.entra import Entra, Registration
from tests.standins.mail_door import MailDoor, Mood, mail_doors
from tests.standins.mailboxes import Mailboxes
from tests.standins.server import serving

FAILED, OK, UNKNOWN, DEGRADED = Outcome.FAILED, Outcome.OK, Outcome.UNKNOWN, Outcome.DEGRADED
TENANT, CLIENT = "0f6a3c1e-5b7d-4a52-9c1b-2d8e4f60a7b9", "7c9e6679-7425-40de-944b-e07fc1f90ae7"
A, B = "probe-a@contoso.example", "probe-b@contoso.example"
OUTLOOK = "https://localhost"  # the resource that a token for IMAP is of
SIGNED_IN = ["mailbox", "free_busy", "round_trip"]


def wall() -> datetime:
    return datetime.now(UTC)


@dataclass
class Vendor:
    """The stand-in and how to reach it."""

    boxes: Mailboxes
    root: str
    ca_file: Path
    imap: MailDoor
    secret: str = "secret"

    def account(self, **changes: Any) -> ProbeAccount:
        values = {
            "tenant_id": TENANT, "client_id": CLIENT, "secret": self.secret, "mailbox": A,
            "partner": B, "authority": self.root, "base_url": self.root,
            "imap_server": f"localhost:{self.imap.port}",
        }  # fmt: skip
        return ProbeAccount(**{**values, **changes})


@pytest.fixture
async def vendor(tmp_path: Path) -> AsyncIterator[Vendor]:
    registration = Registration(tenant=TENANT, client=CLIENT, secrets={"secret": None})
    entra = Entra(registrations=[registration], wall=wall)
    boxes = Mailboxes(entra=entra, now=wall, boxes={A: [], B: []})
    files = create(tmp_path)
    async with serving(boxes.app(), files) as root, mail_doors(files.server_context()) as opener:
        imap = await opener("imap", secure=True)

        def admits(user: str, token: str) -> bool:
            granted = entra.granted(token)
            return user in boxes.boxes and granted is not None and granted.audience == OUTLOOK

        imap.admits = admits
        yield Vendor(boxes, root, files.ca_file, imap)


@pytest.fixture
def tools() -> Iterator[Toolbox]:
    made = Toolbox()
    yield made
    made.close()


async def ask(
    tools: Toolbox, vendor: Vendor, check: str, *, reached: bool = True,
    account: ProbeAccount | None = None, **changes: Any,
) -> ProbeResult:  # fmt: skip
    values = {
        "name": check, "check": check, "location": "berlin", "confirm_seconds": 0,
        "ca_file": vendor.ca_file, **changes,
    }  # fmt: skip
    probe = Probe(
        ProbeSettings(**values), tenant="contoso", tools=tools,
        account=account or vendor.account(), pace=20,
    )  # fmt: skip
    probe.remember(reached=reached, learned=None)
    return await probe.run(now=NOW, location_sound=True)


async def test_all_checks_that_sign_in_are_well_when_the_vendor_is(
    vendor: Vendor, tools: Toolbox
) -> None:
    for check in ["token", *SIGNED_IN]:
        result = await ask(tools, vendor, check, reached=False)
        assert (result.outcome, result.error) == (OK, None)
        phases = {"dns_ms", "connect_ms", "tls_ms", "first_byte_ms"}
        assert set(result.phases or {}) == phases
        assert (result.answer or {})["status"] in ("200", "202")
    assert vendor.boxes.entra.asked == 4  # a token is never taken from memory


async def test_a_mail_that_went_round_is_timed_and_deleted(vendor: Vendor, tools: Toolbox) -> None:
    vendor.boxes.boxes[B].append({"id": "old", "subject": "Sextant probe old", "at": wall()})
    vendor.boxes.boxes[B].append({"id": "other", "subject": "Hello", "at": wall()})
    vendor.boxes.delay = timedelta(milliseconds=200)
    result = await ask(tools, vendor, "round_trip")
    assert result.outcome is OK
    assert int((result.diagnostics or {})["arrival_ms"]) >= 3_000  # of the story: pace 20
    assert [mail["id"] for mail in vendor.boxes.boxes[B]] == ["other"]


async def test_a_mail_that_does_not_arrive_is_delayed(vendor: Vendor, tools: Toolbox) -> None:
    vendor.boxes.loses_mail = True
    result = await ask(tools, vendor, "round_trip", arrival_seconds=4)
    assert (result.outcome, result.symptom) == (FAILED, Symptom.MAIL_DELAYED)
    assert result.error == "accepted, and not arrived within 4 s"


@pytest.mark.parametrize("check", ["token", *SIGNED_IN])
@pytest.mark.parametrize("reached", [True, False])
async def test_our_own_credential_accuses_nobody(
    vendor: Vendor, tools: Toolbox, check: str, *, reached: bool
) -> None:
    vendor.boxes.entra.registrations[0].secrets["old"] = wall() - timedelta(days=1)
    wrongs = {
        "AADSTS7000222": {"secret": "old"},
        "AADSTS7000215": {"secret": "never"},
        "AADSTS700016": {"client_id": "nobody"},
        "AADSTS90002": {"tenant_id": "nowhere"},
    }
    for code, change in wrongs.items():
        account = vendor.account(**change)
        result = await ask(tools, vendor, check, account=account, reached=reached)
        assert (result.outcome, result.self_check) == (UNKNOWN, SelfCheck.FAILED)
        assert (result.diagnostics or {}) | {"fault": "credential", "code": code} == (
            result.diagnostics
        )
        assert (result.error or "").startswith("ours: ")
        assert not {"old", "never"} & set((result.error or "").split())


@pytest.mark.parametrize("check", SIGNED_IN)
@pytest.mark.parametrize(
    ("refusal", "outcome", "symptom"),
    [
        ((401, "InvalidAuthenticationToken"), FAILED, Symptom.AUTH_REJECTED),
        ((403, "ErrorAccessDenied"), FAILED, Symptom.AUTH_REJECTED),
        ((404, "ResourceNotFound"), FAILED, Symptom.NOT_FOUND),
        ((429, "ApplicationThrottled"), DEGRADED, Symptom.THROTTLED),
        ((503, "MailboxInfoStale"), FAILED, Symptom.HTTP_5XX),
    ],
)
async def test_a_mailbox_that_refuses_a_fresh_token_is_the_vendors(
    vendor: Vendor, tools: Toolbox, check: str, refusal: tuple[int, str], outcome: Outcome,
    symptom: Symptom,
) -> None:  # fmt: skip
    vendor.boxes.refusal = refusal
    result = await ask(tools, vendor, check)
    assert (result.outcome, result.symptom) == (outcome, symptom)
    assert (result.http_status, result.self_check) == (refusal[0], SelfCheck.OK)
    told = result.diagnostics or {}
    assert (told["token"], told["code"]) == ("issued", refusal[1])
    assert {"request-id", "x-ms-ags-diagnostic"} <= set(told)
    assert "token issued, mailbox refuses" in (result.error or "")


@pytest.mark.parametrize(
    ("refusal", "fault"),
    [((403, "ErrorAccessDenied"), "permission"), ((404, "ErrorInvalidUser"), "settings")],
)
async def test_what_never_worked_is_our_permission_or_setting(
    vendor: Vendor, tools: Toolbox, refusal: tuple[int, str], fault: str
) -> None:
    vendor.boxes.refusal = refusal
    result = await ask(tools, vendor, "mailbox", reached=False)
    assert (result.outcome, result.self_check) == (UNKNOWN, SelfCheck.FAILED)
    assert (result.diagnostics or {})["fault"] == fault


async def test_without_a_token_nothing_is_said_of_the_mailbox(
    vendor: Vendor, tools: Toolbox
) -> None:
    vendor.boxes.entra.broken = 503
    token = await ask(tools, vendor, "token")
    assert (token.outcome, token.symptom, token.http_status) == (FAILED, Symptom.HTTP_5XX, 503)
    for check in SIGNED_IN:
        result = await ask(tools, vendor, check)
        assert (result.outcome, result.self_check) == (UNKNOWN, SelfCheck.OK)
        assert "so the mailbox was not asked" in (result.error or "")


async def test_free_and_busy_times_may_fail_inside_a_good_answer(
    vendor: Vendor, tools: Toolbox
) -> None:
    vendor.boxes.busy_fails = True
    result = await ask(tools, vendor, "free_busy")
    assert (result.outcome, result.symptom) == (FAILED, Symptom.CONTENT_ERROR)
    assert "Unable to resolve." in (result.error or "")


async def test_graph_without_a_token_challenges(vendor: Vendor, tools: Toolbox) -> None:
    changes = {"target": f"{vendor.root}/v1.0/me"}
    result = await ask(tools, vendor, "graph", **changes)
    assert (result.outcome, result.http_status) == (OK, 401)
    vendor.boxes.front = (503, "serviceNotAvailable")
    result = await ask(tools, vendor, "graph", **changes)
    assert (result.outcome, result.symptom) == (FAILED, Symptom.HTTP_5XX)


async def test_the_sign_in_document_is_read(vendor: Vendor, tools: Toolbox) -> None:
    path = f"{vendor.root}/{TENANT}/v2.0/.well-known/openid-configuration"
    result = await ask(tools, vendor, "openid", target=path)
    assert (result.outcome, "issuer" in (result.answer or {})["keys"]) == (OK, True)
    wrong = await ask(tools, vendor, "openid", target=path.replace(TENANT, "nowhere"))
    assert (wrong.outcome, (wrong.diagnostics or {})["fault"]) == (UNKNOWN, "settings")


def test_checks_that_sign_in_take_no_target_and_need_an_account() -> None:
    with pytest.raises(ValueError, match="takes no target"):
        ProbeSettings(name="t", check="token", location="b", target="https://a.example")


# -- IMAP ----------------------------------------------------------------------------------------


async def test_a_mailbox_is_looked_into_over_imap_with_a_fresh_token(
    vendor: Vendor, tools: Toolbox
) -> None:
    result = await ask(tools, vendor, "imap_mailbox", reached=False)
    assert (result.outcome, result.error) == (OK, None)
    assert set(result.phases or {}) == {"dns_ms", "connect_ms", "tls_ms", "first_byte_ms"}
    assert (result.diagnostics or {}) == {"token": "issued"}
    said = [line.partition(" ")[2] for line in vendor.imap.said]
    assert said[0] == "CAPABILITY"
    assert [s for s in said if s][1:] == ["AUTHENTICATE XOAUTH2", "EXAMINE INBOX", "LOGOUT"]


@pytest.mark.parametrize(
    ("mood", "words"),
    [
        (Mood.REFUSING, "AUTHENTICATE failed."),
        (Mood.NOT_CONNECTED, "User is authenticated but not connected."),
    ],
)
async def test_imap_that_refuses_a_fresh_token_is_the_vendors_and_makes_the_signal(
    vendor: Vendor, tools: Toolbox, mood: Mood, words: str
) -> None:
    vendor.imap.mood = mood
    result = await ask(tools, vendor, "imap_mailbox")
    assert (result.outcome, result.symptom) == (FAILED, Symptom.AUTH_REJECTED)
    assert result.self_check is SelfCheck.OK
    assert words in (result.error or "")
    again = replace(result, occurred_at=result.occurred_at + timedelta(minutes=2))
    derived = derive(derive(Refusals(), result)[0], again)[1]
    assert derived is not None
    assert derived.symptom is Symptom.AUTH_LOOP
    assert "auth_mailbox_desync" in (derived.error or "")


async def test_imap_that_never_let_us_in_is_our_permission(vendor: Vendor, tools: Toolbox) -> None:
    vendor.imap.mood = Mood.REFUSING
    result = await ask(tools, vendor, "imap_mailbox", reached=False)
    assert (result.outcome, result.self_check) == (UNKNOWN, SelfCheck.FAILED)
    assert (result.diagnostics or {})["fault"] == "permission"


async def test_imap_that_hangs_or_says_no_is_not_a_refusal(vendor: Vendor, tools: Toolbox) -> None:
    for mood, symptom in (
        (Mood.SILENT, Symptom.TIMEOUT), (Mood.SHUT, Symptom.CONNECTION_FAILED),
        (Mood.MUTE_AFTER_BANNER, Symptom.TIMEOUT), (Mood.BROKEN, Symptom.CONNECTION_FAILED),
    ):  # fmt: skip
        vendor.imap.mood = mood
        result = await ask(tools, vendor, "imap_mailbox", first_byte_seconds=0.3)
        assert (result.outcome, result.symptom) == (FAILED, symptom)
        assert "mailbox" not in (result.diagnostics or {})
    vendor.boxes.entra.broken = 503
    unasked = await ask(tools, vendor, "imap_mailbox")
    assert unasked.outcome is UNKNOWN


# -- a certificate, or the platform's token, instead of a secret -----------------------------------


def a_certificate(folder: Path) -> tuple[Path, x509.Certificate]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sextant-probe")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(wall() - timedelta(hours=1))
        .not_valid_after(wall() + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / "probe.pem"
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(plain + made.public_bytes(Encoding.PEM))
    return file, made


async def test_the_account_signs_in_with_a_certificate(
    vendor: Vendor, tools: Toolbox, tmp_path: Path
) -> None:
    file, made = a_certificate(tmp_path)
    account = vendor.account(secret=None, certificate={"file": str(file)})
    result = await ask(tools, vendor, "mailbox", account=account)
    assert (result.outcome, result.self_check) == (UNKNOWN, SelfCheck.FAILED)
    assert "the certificate is not registered" in (result.error or "")
    vendor.boxes.entra.registrations[0].certificates.append(made)
    for check in ("token", "mailbox", "imap_mailbox"):
        result = await ask(tools, vendor, check, account=account)
        assert (result.outcome, result.error) == (OK, None)


async def test_a_certificate_that_cannot_be_read_is_our_fault(
    vendor: Vendor, tools: Toolbox, tmp_path: Path
) -> None:
    for change in ({"certificate": {"file": str(tmp_path / "none.pem")}},
                   {"federated_token_file": str(tmp_path / "none")}):  # fmt: skip
        account = vendor.account(secret=None, **change)
        result = await ask(tools, vendor, "token", account=account)
        assert (result.outcome, result.self_check) == (UNKNOWN, SelfCheck.FAILED)
        assert (result.diagnostics or {})["fault"] == "credential"


async def test_the_account_signs_in_with_the_platforms_token(
    vendor: Vendor, tools: Toolbox, tmp_path: Path
) -> None:
    subject = "system:serviceaccount:sextant:probe"
    registration = vendor.boxes.entra.registrations[0]
    registration.subjects = frozenset({subject})
    head, claims = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "RS256", "kid": "1"}, {"sub": subject})
    )
    file = tmp_path / "token"
    file.write_text(f"{head}.{claims}.c2ln\n")
    account = vendor.account(secret=None, federated_token_file=str(file))
    assert (await ask(tools, vendor, "token", account=account)).outcome is OK


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"secret": "s", "certificate": {"file": "c"}},
        {"federated_token_file": "f", "secret": "s"},
    ],
)
def test_an_account_proves_itself_in_exactly_one_way(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="exactly one of secret, certificate"):
        ProbeAccount(tenant_id=TENANT, client_id=CLIENT, **given)
