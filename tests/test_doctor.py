"""The doctor: each thing that would fail in an outage is named before it, with what to do."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.cli import main
from app.core.link import LinkState
from app.core.retry import Standing
from app.core.types import Outcome
from app.doctor import Finding, Grade, Instruments, examine, paper, place, sight, stored
from app.doctor.place import GIB
from app.flow import keys
from app.flow.retention import Due
from app.kit.clock import FixedClock
from app.settings import Settings
from app.store import links, probes, sources
from app.store.engine import Database
from tests.api.test_links import a_link
from tests.builders import NOW, TENANT, a_probe_result, minutes
from tests.standins.__main__ import CLIENT, StandIns
from tests.standins.__main__ import TENANT as DIRECTORY
from tests.standins.conftest import SECRET, clock, standins
from tests.store.queue import emit, event, subscribe

__all__ = ["clock", "standins"]

PLENTY = (100 * GIB, 50 * GIB)
SLACK = {"token": "x", "channel": "C0123456789"}
HTTP = {"check": "http", "target": "https://outlook.example/owa"}
CONTROL = {"check": "control", "targets": ["https://example.org"]}


def settings(*, server: Any = None, tenant: Any = None, **changes: Any) -> Settings:
    return Settings.model_validate(
        {
            "server": server or {"public_url": "https://sextant.example"},
            "tenants": [{"id": TENANT, "contact": "4711", **(tenant or {})}],
            **changes,
        }
    )


def told(found: Any) -> list[tuple[str, str, str]]:
    """Area, grade and text of what is not well."""
    return [(f.area, f.grade.value, f.text) for f in found if f.grade is not Grade.WELL]


def said(found: Any, area: str) -> Finding:
    """The one finding of an area that is not well."""
    (one,) = [f for f in found if f.area == area and f.grade is not Grade.WELL]
    return one


@pytest.mark.parametrize(
    ("changes", "area", "grade", "words"),
    [
        ({"server": {"host": "0.0.0.0"}}, "public_url", "problem", "nobody else can open"),
        ({"server": {"port": 8000}}, "public_url", "note", "only this machine"),
        ({"server": {"public_url": "http://s.example"}}, "public_url", "warning", "not https"),
        ({"egress": {"allow": [{"cidr": "10.0.0.0/8"}]}}, "egress", "warning", "10.0.0.0/8"),
        ({"egress": {"allow": [{"host": "a.lan"}]}}, "egress", "note", "every port"),
        ({"retention": {"intake_days": 2}}, "retention", "warning", "2 days"),
        ({"retention": {"audit_days": 30}}, "retention", "warning", "30 days"),
        ({"allow_inline_secrets": True}, "settings", "warning", "Secrets may stand"),
        ({"messages": {"folder": "absent", "languages": ["fr"]}}, "messages", "problem", '"fr"'),
        ({"tenant": {"contact": ""}}, "messages", "note", "help desk"),
    ],
)
def test_the_settings_alone_tell(
    changes: dict[str, Any], area: str, grade: str, words: str
) -> None:
    one = said(paper.read(settings(**changes)), area)
    assert (one.grade.value, bool(one.fix)) == (grade, True)
    assert words in one.text


def test_channels_that_all_depend_on_microsoft_are_named() -> None:
    teams = {"name": "desk", "kind": "slack", "slack": SLACK, "depends_on": ["microsoft-teams"]}
    mirror = {
        "name": "snow", "base_url": "https://x.example", "depends_on": ["entra-id"],
        "credential": {"certificate": {"file": "x.pem"}},
    }  # fmt: skip
    given = settings(tenant={"channels": [teams], "mirrors": [mirror], "accept_dependent": True})
    found = told(paper.read(given))
    assert ("channels", "warning") in [(area, grade) for area, grade, _ in found]
    assert "All your channels for help desk (desk) depend on Microsoft 365" in str(found)
    assert "snow depends on Microsoft Entra" in str(found)
    assert "No channel is configured" in said(paper.read(settings()), "channels").text


def test_probes_need_places_and_controls() -> None:
    def found(*given: dict[str, Any]) -> list[str]:
        tenant = {"probes": [{"name": f"p{n}", **one} for n, one in enumerate(given)]}
        return [text for _, _, text in told(sight.probes(settings(tenant=tenant)))]

    berlin, munich = {"location": "berlin"}, {"location": "munich"}
    assert found() == ["No probe is configured here: nothing of our own measures."]
    one = found({**HTTP, **berlin})
    assert ("nothing there tells its own faults" in one[0], "All probes measure" in one[1]) == (
        True, True,
    )  # fmt: skip
    both = ({**HTTP, **berlin}, {**CONTROL, **berlin}, {**HTTP, **munich}, {**CONTROL, **munich})
    assert found(*both) == []


@pytest.mark.parametrize(
    ("free", "grade"), [(GIB // 8, "problem"), (GIB, "warning"), (9 * GIB, "well")]
)
def test_a_disk_that_fills_is_told(tmp_path: Path, free: int, grade: str) -> None:
    (one,) = place.disk(tmp_path / "not" / "there", lambda _: (100 * GIB, free))
    assert one.grade.value == grade
    assert str(tmp_path) in one.text


def known(**changes: Any) -> stored.Known:
    values: dict[str, Any] = {
        "instant": None, "newest_at": None, "keys": [], "receivers": [], "parked": 0,
        "sources": [], "checks": [], "links": [],
    }  # fmt: skip
    return stored.Known(**{**values, **changes})


@pytest.mark.parametrize(
    ("facts", "virtual", "grade", "words"),
    [
        ({}, False, "well", "no stored event is later"),
        ({"instant": NOW - minutes(0.01)}, False, "well", "agree within 0.6 s"),
        ({"instant": NOW - minutes(5)}, False, "problem", "differ by 300 s"),
        ({"newest_at": NOW + minutes(5)}, False, "problem", "which is to come"),
        ({}, True, "warning", "virtual"),
    ],
)
def test_a_clock_that_cannot_be_believed_is_told(
    facts: dict[str, Any], grade: str, words: str, *, virtual: bool
) -> None:
    given = settings(clock={"start": NOW}) if virtual else settings()
    (one,) = place.clock(known(**facts), NOW, given)
    assert (one.grade.value, words in one.text) == (grade, True)


def test_without_a_key_nobody_gets_in() -> None:
    assert said(stored.judged(settings(), known(), NOW), "keys").grade is Grade.WARNING
    served = settings(server={"host": "0.0.0.0", "public_url": "https://s.example"})
    assert said(stored.judged(served, known(), NOW), "keys").grade is Grade.PROBLEM


async def test_what_the_database_knows_is_judged(database: Database) -> None:
    def look(given: Settings | None = None) -> list[Finding]:
        chosen = given or settings()
        read = database.read_now(lambda c: stored.known(c, chosen, NOW))
        return list(stored.judged(chosen, read, NOW))

    first = await keys.create(database, tenant="*", name="first", scopes=["admin"], now=NOW)
    assert told(look()) == []
    short = await keys.create(
        database, tenant=TENANT, name="robot", scopes=["incidents:read"], now=NOW,
        expires_in=timedelta(days=9),
    )  # fmt: skip
    ends = said(look(), "keys")
    assert (ends.fix.split("`")[1], "robot" in ends.text) == (
        f"sextant keys rotate {short.key.id}", True,
    )  # fmt: skip
    await keys.rotate(
        database, tenant=None, key_id=short.key.id, now=NOW + minutes(1),
        overlap=timedelta(days=8),
    )  # fmt: skip
    after = [t for t in told(look()) if short.key.id in t[2]]
    assert (after, first.key.is_valid(NOW)) == ([], True)

    subscribe(database, "sub_1", state=Standing.FAILING, consecutive_failures=7)
    subscribe(database, "sub_2", state=Standing.UNVERIFIED)
    subscribe(database, "sub_3", state=Standing.ACTIVE, url="https://10.1.2.3/hook")
    subscribe(database, "sub_4", state=Standing.DISABLED)
    emit(database, event(1), now=NOW + minutes(9))
    grades = {t[2].split("(")[1][:5]: t[1] for t in told(look()) if t[0] == "receivers"}
    assert grades == {"sub_1": "problem", "sub_2": "warning", "sub_3": "problem", "sub_4": "note"}
    allowed = settings(egress={"allow": [{"cidr": "10.1.2.0/24", "ports": [443]}]})
    assert "sub_3" not in str(told(look(allowed)))

    def trouble(c: Any) -> None:
        sources.record_error(
            c, TENANT, "graph", kind="graph", name="Microsoft Graph", interval=minutes(1),
            now=NOW, code="forbidden", text="The token lacks it.", remedy="Grant it.",
        )  # fmt: skip
        probes.record(c, TENANT, [a_probe_result(at=NOW - minutes(60), outcome=Outcome.OK)])
        links.add(c, a_link(state=LinkState.FAILED, explanation="The form refuses it."))
        for name in ("desk", "gone"):
            links.standing(c, name, TENANT, now=NOW, position=0)
            links.fails(c, name, since=NOW, why="The workflow answered 404.")

    database.write_now(trouble)
    found = look()
    assert (said(found, "sources").fix, said(found, "mirrors").grade) == (
        "Grant it.", Grade.PROBLEM,
    )  # fmt: skip
    assert "owa-front-door at berlin is silent since 2026-03-16 05:30" in said(found, "probes").text
    slack = {"name": "desk", "kind": "slack", "slack": {"token": "x", "channel": "C0123456789"}}
    failing = said(look(settings(tenant={"channels": [slack]})), "channels")
    assert failing.grade is Grade.PROBLEM
    assert failing.text == "desk fails since 2026-03-16 06:30 UTC: The workflow answered 404."
    read = database.read_now(lambda c: stored.known(c, settings(), NOW))
    assert read.newest_at == NOW + minutes(9)
    assert (read.instant is None) is (database.dialect == "sqlite")


def test_what_should_be_gone_is_counted() -> None:
    due = [Due(what="events", before=NOW, rows=3), Due(what="intake", before=NOW, rows=0)]
    assert said(stored.overdue(due), "retention").text.endswith("still there: 3 events.")
    assert list(stored.overdue(due[1:])) == []


async def nothing(_: Database) -> list[Due]:
    return []


async def test_a_database_that_is_away_or_old_is_told(tmp_path: Path) -> None:
    async def look(url: str) -> list[Finding]:
        given = settings(database={"url": url})
        look = Instruments(
            clock=FixedClock(NOW), overdue=nothing, offline=True, free=lambda _: PLENTY
        )
        return [f for f in await examine(given, look) if f.area == "database"]

    (absent,) = await look(f"sqlite:///{tmp_path}/absent.db")
    assert (absent.grade, "not there yet" in absent.text) == (Grade.NOTE, True)
    assert not (tmp_path / "absent.db").exists()
    (tmp_path / "old.db").touch()
    (old,) = await look(f"sqlite:///{tmp_path}/old.db")
    assert (old.grade, "not of this version" in old.text) == (Grade.WARNING, True)
    (away,) = await look("postgresql://nobody:secret@127.0.0.1:1/none")
    assert (away.grade, "secret" in away.text) == (Grade.PROBLEM, False)


async def test_graph_is_looked_at_by_the_code_of_its_own_check(standins: StandIns) -> None:
    facts = standins.facts()

    def graph(secret: str) -> Settings:
        source = {
            "tenant_id": DIRECTORY, "client_id": CLIENT, "credential": {"secret": secret},
            "authority": facts["authority"], "base_url": facts["base_url"],
            "ca_file": facts["ca_file"], "timeout_seconds": 2,
        }  # fmt: skip
        return settings(tenant={"graph": source})

    at = FixedClock(standins.graph.now())
    (good,) = await sight.graph(graph(SECRET), at)
    (bad,) = await sight.graph(graph("a wrong one"), at)
    assert (good.grade, "carries the permission" in good.text) == (Grade.WELL, True)
    assert (bad.grade, "failed" in bad.text, bool(bad.fix)) == (Grade.PROBLEM, True, True)
    (none,) = await sight.graph(settings(), at)
    assert none.grade is Grade.WARNING


def test_the_command_says_it_in_sentences_and_in_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sextant.toml"
    file.write_text(
        '[database]\nurl = { file = "url" }\n[server]\npublic_url = "https://s.example"\n'
        '[[tenants]]\nid = "contoso"\n'
    )
    (tmp_path / "url").write_text(f"sqlite:///{tmp_path}/s.db")
    command = ["doctor", "--offline", "--config", str(file)]
    assert main(["migrate", "--config", str(file)]) == 0
    capsys.readouterr()
    assert main(command) == 0
    text = capsys.readouterr().out
    assert "its tables are of this version" in text
    assert "To do: Add [[tenants.channels]]" in text
    assert text.splitlines()[-1].startswith("No problem. 0 problems, ")
    assert main([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["well"], document["problems"]) == (True, 0)
    assert {"area", "grade", "text", "fix", "tenant"} == set(document["findings"][0])
    file.write_text(file.read_text().replace("[server]", '[server]\nhost = "0.0.0.0"'))
    assert main(command) == 1
    told = capsys.readouterr()
    assert told.err.startswith("sextant: 1 problem, ")
    assert "PROBLEM" in told.out
