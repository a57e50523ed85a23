"""``graph check`` against the stand-in: each fault is named with its cure, in sentences."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.cli import main
from app.sources.graph import GraphSettings, Shared
from app.sources.graph.check import Checked, _clock, check
from tests.standins.__main__ import CLIENT, TENANT, StandIns
from tests.standins.conftest import SECRET, clock, standins
from tests.standins.faults import Mode

__all__ = ["clock", "standins"]


@pytest.fixture
async def shared() -> AsyncIterator[Shared]:
    made = Shared()
    yield made
    await made.aclose()


def settings(standins: StandIns, **changes: Any) -> GraphSettings:
    facts = standins.facts()
    return GraphSettings(
        **{
            "tenant_id": TENANT,
            "client_id": CLIENT,
            "credential": {"secret": SECRET},
            "authority": facts["authority"],
            "base_url": facts["base_url"],
            "ca_file": facts["ca_file"],
            "timeout_seconds": 2,
            **changes,
        }
    )


async def told(standins: StandIns, shared: Shared, **changes: Any) -> tuple[Checked, str]:
    made = await check(settings(standins, **changes), shared, now=standins.graph.now())
    return made, " ".join([*made.found, *made.fix])


async def test_all_is_well(standins: StandIns, shared: Shared) -> None:
    made, text = await told(standins, shared)
    assert not made.failed
    assert "Signed in at 127.0.0.1 with the secret." in text
    assert "carries the permission ServiceHealth.Read.All." in text
    assert "Read 6 advisories of 6 services, 1 open (EX931445)." in text
    assert "newest change is EX931445" in text
    assert "The clock of this machine agrees with that of Graph." in text
    assert "It took 2 requests of the 700 that one hour may have." in text


async def test_too_much_permission_is_mentioned(standins: StandIns, shared: Shared) -> None:
    registration = standins.graph.entra.registrations[0]
    registration.roles = (*registration.roles, "Mail.ReadWrite")
    made, text = await told(standins, shared)
    assert not made.failed
    assert "It also carries Mail.ReadWrite, which Sextant does not use." in text


async def test_a_missing_permission_is_named_before_and_after_reading(
    standins: StandIns, shared: Shared
) -> None:
    standins.graph.entra.registrations[0].roles = ("User.Read.All",)
    made, text = await told(standins, shared)
    assert made.failed
    assert "lacks the permission ServiceHealth.Read.All; it carries User.Read.All." in text
    assert "Grant admin consent" in text
    assert len(made.fix) == 1


async def test_a_refused_secret_says_which_cure(standins: StandIns, shared: Shared) -> None:
    made, text = await told(standins, shared, credential={"secret": "wrong"})
    assert made.failed
    assert made.fix == ["The client secret is wrong: give its value, not its id."]
    assert "AADSTS7000215" in text
    assert "Trace" not in text


async def test_a_tenant_that_is_not_there_is_told_as_such(
    standins: StandIns, shared: Shared
) -> None:
    made, text = await told(standins, shared, tenant_id="nowhere.example")
    assert made.failed
    assert "Entra knows no such tenant." in text
    assert made.fix == ["There is no such tenant in this cloud: check tenant_id and cloud."]


@pytest.mark.parametrize(
    ("mode", "words"),
    [(Mode.HTML, "what is no JSON"), (Mode.THROTTLED, "answered 429"), (Mode.FORBIDDEN, "403")],
)
async def test_an_entra_that_talks_nonsense_is_told_as_such(
    standins: StandIns, shared: Shared, mode: Mode, words: str
) -> None:
    standins.graph.entra_fault.mode = mode
    made, text = await told(standins, shared)
    assert made.failed
    assert words in text
    assert "b2clogin" not in text


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_authorities_that_cannot_be_used_are_named(
    standins: StandIns, shared: Shared, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_text(content)
    made, text = await told(standins, shared, ca_file=str(file))
    assert made.failed
    assert "authorities.pem cannot be used" in text
    assert "Check the path of ca_file" in made.fix[0]


async def test_a_certificate_that_is_not_there_is_named(
    standins: StandIns, shared: Shared, tmp_path: Path
) -> None:
    made, text = await told(
        standins, shared, credential={"certificate": {"file": str(tmp_path / "x.pem")}}
    )
    assert made.failed
    assert "x.pem cannot be read" in text
    assert "who may read it" in text


@pytest.mark.parametrize(
    ("mode", "word"),
    [
        (Mode.HTML, "HTML"),
        (Mode.UNAVAILABLE, "503"),
        (Mode.TRUNCATED, "broke off"),
        (Mode.FORBIDDEN, "something else refuses"),
    ],
)
async def test_a_graph_that_fails_is_told_as_such(
    standins: StandIns, shared: Shared, mode: Mode, word: str
) -> None:
    standins.graph.graph_fault.mode = mode
    made, text = await told(standins, shared)
    assert made.failed
    assert "Reading failed: " in text
    assert word in text
    assert made.fix[-1]


async def test_what_cannot_be_read_and_what_is_new_is_named(
    standins: StandIns, shared: Shared
) -> None:
    good = standins.graph.history[0]
    odd = {**good, "id": "EX1", "status": "serviceSplendid"}
    standins.graph.extra = {"EX1": odd, "EX2": {**good, "id": "EX2", "startDateTime": "x"}}
    _, text = await told(standins, shared)
    assert "1 record cannot be read: EX2" in text
    assert "count as open: status 'serviceSplendid'." in text


def test_clocks_that_differ_are_told() -> None:
    made = Checked()
    assert _clock(timedelta(minutes=9), made) == [
        "This machine is 9 min behind the clock of Graph."
    ]
    assert _clock(timedelta(seconds=-5), made) == [
        "This machine is 5 s ahead of the clock of Graph."
    ]
    assert len(made.fix) == 1


async def test_the_command_ends_with_its_verdict(
    standins: StandIns, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = standins.facts()
    file = tmp_path / "sextant.toml"
    table = f"""
    [[tenants]]
    id = "%s"
      [tenants.graph]
      tenant_id = "{TENANT}"
      client_id = "{CLIENT}"
      credential = {{ secret = "%s" }}
      authority = "{facts["authority"]}"
      base_url = "{facts["base_url"]}"
      ca_file = "{facts["ca_file"]}"
    """
    head = "allow_inline_secrets = true\n"
    file.write_text(head + table % ("good", SECRET))
    command = ["graph", "check", "--config", str(file)]
    assert await asyncio.to_thread(main, command) == 0
    assert "good: well" in capsys.readouterr().out
    file.write_text(head + table % ("good", SECRET) + table % ("bad", "wrong"))
    assert await asyncio.to_thread(main, command) == 1
    said = capsys.readouterr()
    assert "bad: FAILED" in said.out
    assert "To fix: The client secret is wrong" in said.err
