"""Mutual TLS: an instance that lets nobody in without a certificate of its authority."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app.core.ports import MirrorAnswer, MirrorWord
from app.sinks.servicenow.dial import open_mirror
from app.sinks.servicenow.settings import (
    BasicSettings,
    ClientCertificate,
    MirrorCredential,
    OAuthSettings,
)
from tests.builders import NOW
from tests.flow.mirroring import settings_of
from tests.sinks.benches import certificates
from tests.standins.ca import create, create_client
from tests.standins.servicenow import Application, Instance, User
from tests.standins.servicenow.serve import serving

PASSWORD = SecretStr("key-password")


async def met(
    tmp_path: Path, shown: str | None, *, ca_file: Path | None = None, **credential: Any
) -> tuple[MirrorAnswer, MirrorAnswer, Instance]:
    """A lookup and a create at an instance that demands a certificate of ``clients-ca.pem``."""
    instance = Instance(now=lambda: NOW)
    instance.add_user(User(name="sextant", password="pw"))
    instance.applications["client"] = Application(secret="s3cret", user="sextant")
    instance.certificates["sextant"] = "sextant"
    create_client(tmp_path, "sextant", password=PASSWORD.get_secret_value().encode())
    known = tmp_path / "known.pem"
    known.write_bytes((tmp_path / "clients-ca.pem").read_bytes())
    create_client(tmp_path, "stranger")  # of another authority of the same name
    if shown is not None:
        password = PASSWORD if shown == "sextant" else None
        file = str(tmp_path / f"{shown}.pem")
        credential["certificate"] = ClientCertificate(file=file, password=password)
    async with serving(instance, certificates(), known) as root:
        settings = settings_of(
            base_url=root, ca_file=str(ca_file or certificates().ca_file),
            credential=MirrorCredential(**credential), timeout_seconds=5,
        )  # fmt: skip
        mirror = open_mirror(settings, lambda: NOW)
        try:
            found = await mirror.find("sextant:1")
            made = await mirror.create("sextant:1", {"short_description": "x"}, "x\n[m]")
        finally:
            await mirror.aclose()
    return found, made, instance


BASIC = BasicSettings(username="sextant", password=SecretStr("pw"))
OAUTH = OAuthSettings(client_id="client", client_secret=SecretStr("s3cret"))


@pytest.mark.parametrize("credential", [{}, {"basic": BASIC}, {"oauth": OAUTH}])
async def test_the_certificate_alone_or_beside_a_sign_in_makes_a_ticket(
    tmp_path: Path, credential: dict[str, Any]
) -> None:
    found, made, instance = await met(tmp_path, "sextant", **credential)
    assert (found.word, made.word) == (MirrorWord.ABSENT, MirrorWord.DONE)
    assert [r["sys_created_by"] for r in instance.incidents()] == ["sextant"]


@pytest.mark.parametrize("shown", [None, "stranger"])
async def test_without_a_certificate_that_it_knows_nothing_arrives(
    tmp_path: Path, shown: str | None
) -> None:
    found, made, instance = await met(tmp_path, shown, basic=BASIC)
    assert MirrorWord.DONE not in {found.word, made.word}
    assert MirrorWord.ABSENT not in {found.word, made.word}  # which would make a second ticket
    assert (instance.log, instance.incidents()) == ([], [])
    assert found.why


async def test_an_instance_of_another_authority_is_not_spoken_to(tmp_path: Path) -> None:
    other = create(tmp_path / "other").ca_file
    found, _, instance = await met(tmp_path, "sextant", ca_file=other, basic=BASIC)
    assert found.word is MirrorWord.REFUSED
    assert "certificate is not trusted" in found.why
    assert (instance.log, instance.leaked) == ([], [])
