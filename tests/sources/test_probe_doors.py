"""Checks of mail doors and names against real servers on loopback."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.signal import ProbeResult
from app.core.types import Outcome, SelfCheck, Symptom
from app.sources.probe import Probe, ProbeSettings, Toolbox
from tests.builders import NOW
from tests.standins.ca import Certificates, create
from tests.standins.mail_door import MailDoor, Mood, Open, mail_doors
from tests.standins.name_door import NameDoor, NameMood, name_door

FAILED, OK = Outcome.FAILED, Outcome.OK
ZONE = {
    ("contoso.example", "MX"): ["10 localhost."],
    ("two.example", "MX"): ["20 localhost.", "10 127-0-0-9.invalid."],
    ("null.example", "MX"): ["0 ."],
    ("outlook.example", "CNAME"): ["ooc-g2.tm-4.office.example."],
    ("ooc-g2.tm-4.office.example", "A"): ["192.0.2.7", "192.0.2.8"],
    ("text.example", "TXT"): ['"v=spf1 include:spf.protection.outlook.com -all"'],
}


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return create(tmp_path)


@pytest.fixture
async def doors(certificates: Certificates) -> AsyncIterator[Open]:
    async with mail_doors(certificates.server_context()) as opener:
        yield opener


@pytest.fixture
async def names() -> AsyncIterator[NameDoor]:
    async with name_door(ZONE) as door:
        yield door


@pytest.fixture
def tools() -> Iterator[Toolbox]:
    made = Toolbox()
    yield made
    made.close()


async def ask(tools: Toolbox, *, reached: bool = True, **changes: Any) -> ProbeResult:
    values = {"name": "door", "location": "berlin", "confirm_seconds": 0, **changes}
    probe = Probe(ProbeSettings(**values), tenant="contoso", tools=tools)
    probe.remember(reached=reached, learned=changes.get("learned"))
    return await probe.run(now=NOW, location_sound=True)


@pytest.mark.parametrize("kind", ["imap", "pop", "smtp"])
@pytest.mark.parametrize("security", ["tls", "starttls", "none"])
async def test_a_mail_door_is_greeted_secured_and_left(
    doors: Open, tools: Toolbox, certificates: Certificates, kind: str, security: str
) -> None:
    door: MailDoor = await doors(kind, secure=security == "tls")
    result = await ask(
        tools, check=kind, target=f"localhost:{door.port}", security=security,
        ca_file=certificates.ca_file, expect_text="Microsoft",
    )  # fmt: skip
    assert (result.outcome, result.error) == (OK, None)
    tls = set() if security == "none" else {"tls_ms"}
    assert set(result.phases or {}) == {"dns_ms", "connect_ms", "first_byte_ms"} | tls
    assert door.said[-1].upper().endswith(("LOGOUT", "QUIT"))
    assert not [line for line in door.said if "MAIL FROM" in line.upper()]
    words = {"smtp": "Microsoft ESMTP MAIL Service ready at"}.get(kind, "The Microsoft Exchange")
    assert words in (result.answer or {})["banner"]
    assert ("issuer" in (result.answer or {})) is (security != "none")


@pytest.mark.parametrize("kind", ["imap", "pop", "smtp"])
@pytest.mark.parametrize(
    ("mood", "symptom", "words"),
    [
        (Mood.SILENT, Symptom.TIMEOUT, "first_byte"),
        (Mood.MUTE_AFTER_BANNER, Symptom.TIMEOUT, ""),
        (Mood.SHUT, Symptom.CONNECTION_FAILED, "the door said no"),
        (Mood.BROKEN, Symptom.CONNECTION_FAILED, ""),
    ],
)
async def test_a_mail_door_in_trouble_is_told_in_the_closed_words(
    doors: Open, tools: Toolbox, certificates: Certificates, kind: str, mood: Mood,
    symptom: Symptom, words: str,
) -> None:  # fmt: skip
    door: MailDoor = await doors(kind)
    door.mood = mood
    result = await ask(
        tools, check=kind, target=f"localhost:{door.port}", ca_file=certificates.ca_file,
        first_byte_seconds=0.2, tls_seconds=0.2,
    )  # fmt: skip
    assert (result.outcome, result.symptom) == (FAILED, symptom)
    assert words in (result.error or "")
    assert result.self_check is SelfCheck.OK


async def test_a_door_that_no_longer_offers_starttls_fails(
    doors: Open, tools: Toolbox, certificates: Certificates
) -> None:
    door: MailDoor = await doors("smtp")
    door.mood = Mood.NO_STARTTLS
    result = await ask(
        tools, check="smtp", target=f"localhost:{door.port}", ca_file=certificates.ca_file
    )
    assert (result.outcome, result.symptom) == (FAILED, Symptom.CONTENT_ERROR)
    assert "STARTTLS" in (result.error or "")


async def test_a_certificate_of_a_mail_door_that_nobody_vouches_for_is_a_tls_failure(
    doors: Open, tools: Toolbox
) -> None:
    for kind, secure in (("imap", True), ("smtp", False)):
        door: MailDoor = await doors(kind, secure=secure)
        security = "tls" if secure else "starttls"
        result = await ask(tools, check=kind, target=f"localhost:{door.port}", security=security)
        assert (result.outcome, result.symptom) == (FAILED, Symptom.TLS_FAILURE)


async def test_the_mail_exchanger_of_a_domain_is_found_and_greeted(
    doors: Open, names: NameDoor, tools: Toolbox, certificates: Certificates
) -> None:
    door: MailDoor = await doors("smtp")
    changes = {
        "check": "mx", "nameservers": [names.address], "port": door.port,
        "ca_file": certificates.ca_file,
    }  # fmt: skip
    result = await ask(tools, target="contoso.example", **changes)
    assert (result.outcome, result.error) == (OK, None)
    assert [line.split()[0].upper() for line in door.said] == ["EHLO", "STARTTLS", "EHLO", "QUIT"]
    assert names.asked == [("contoso.example", "MX")]
    second = await ask(tools, target="two.example", **changes)
    assert second.outcome is OK
    null = await ask(tools, target="null.example", **changes)
    assert (null.symptom, "null MX" in (null.error or "")) == (Symptom.DNS_FAILURE, True)
    gone = await ask(tools, target="gone.example", **changes)
    assert (gone.symptom, "NXDOMAIN" in (gone.error or "")) == (Symptom.DNS_FAILURE, True)


async def test_a_record_is_asked_of_a_server(names: NameDoor, tools: Toolbox) -> None:
    changes = {"check": "dns", "nameservers": [names.address]}
    found = await ask(tools, target="outlook.example", record="A", **changes)
    assert (found.outcome, found.answer) == (OK, {"canonical": "ooc-g2.tm-4.office.example"})
    assert set(found.phases or {}) == {"dns_ms"}
    text = await ask(
        tools, target="text.example", record="TXT", expect_text="spf.protection", **changes
    )
    assert text.outcome is OK
    none = await ask(tools, target="text.example", record="AAAA", **changes)
    assert (none.symptom, "no AAAA" in (none.error or "")) == (Symptom.DNS_FAILURE, True)


@pytest.mark.parametrize(
    ("mood", "words"),
    [
        (NameMood.SILENT, "dns"),
        (NameMood.SERVFAIL, "SERVFAIL"),
        (NameMood.REFUSED, "REFUSED"),
    ],
)
async def test_a_resolver_in_trouble_is_a_dns_failure(
    names: NameDoor, tools: Toolbox, mood: NameMood, words: str
) -> None:
    names.mood = mood
    result = await ask(
        tools, check="dns", target="outlook.example", nameservers=[names.address], dns_seconds=0.3
    )
    assert (result.outcome, result.symptom) == (FAILED, Symptom.DNS_FAILURE)
    assert words in (result.error or "")


async def test_a_door_that_was_never_reached_accuses_nobody(doors: Open, tools: Toolbox) -> None:
    door: MailDoor = await doors("imap", secure=True)
    result = await ask(
        tools, check="imap", target=f"localhost:{door.port}", security="tls", reached=False
    )
    assert (result.outcome, result.self_check) == (FAILED, SelfCheck.FAILED)
    assert (result.diagnostics or {})["fault"] == "egress"
    assert "never reached from here" in (result.error or "")


async def test_a_changed_banner_departs_from_the_signature(
    doors: Open, tools: Toolbox, certificates: Certificates
) -> None:
    door: MailDoor = await doors("imap", secure=True)
    values: dict[str, Any] = {
        "name": "door", "location": "berlin", "check": "imap", "security": "tls",
        "target": f"localhost:{door.port}", "ca_file": certificates.ca_file, "confirm_seconds": 0,
    }  # fmt: skip
    probe = Probe(ProbeSettings(**values), tenant="contoso", tools=tools)
    first = await probe.run(now=NOW, location_sound=True)
    learned = {aspect: (value,) for aspect, value in (first.answer or {}).items()}
    probe.remember(reached=True, learned=learned)
    assert (await probe.run(now=NOW, location_sound=True)).outcome is OK
    door.mood = Mood.CHANGED
    changed = await probe.run(now=NOW, location_sound=True)
    assert (changed.outcome, changed.symptom) == (Outcome.DEGRADED, Symptom.CONTENT_ERROR)
    assert "banner is * OK Dovecot ready." in (changed.error or "")


async def test_many_silent_doors_at_once_end_with_their_limit(doors: Open, tools: Toolbox) -> None:
    door: MailDoor = await doors("pop")
    door.mood = Mood.SILENT
    changes = {"check": "pop", "target": f"127.0.0.1:{door.port}", "first_byte_seconds": 0.3}
    results = await asyncio.gather(*(ask(tools, **changes) for _ in range(40)))
    assert {result.symptom for result in results} == {Symptom.TIMEOUT}
    assert max(result.latency_ms or 0 for result in results) < 3000


def test_the_port_implies_how_a_door_is_secured() -> None:
    def secured(check: str, target: str) -> str:
        made = ProbeSettings(name="d", location="b", check=check, target=target)
        return f"{made.address[1]} {made.secured}"

    assert secured("imap", "outlook.example") == "993 tls"
    assert secured("pop", "outlook.example:110") == "110 starttls"
    assert secured("smtp", "smtp.example") == "587 starttls"
    assert secured("smtp", "smtp.example:465") == "465 tls"
    assert secured("mx", "contoso.example") == "25 starttls"
