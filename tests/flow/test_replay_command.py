"""``sextant replay`` over the database of an installation that ran."""

import json
from pathlib import Path

import pytest

from app.cli import main
from app.core.policy import DEFAULT_POLICY
from app.store import migrate
from app.store.engine import Database
from tests.core.play import at
from tests.flow.tale import Tale, signals

CONFIG = """
[database]
url = "sqlite:///{place}/kept.db"
[server]
public_url = "https://sextant.example"
[[tenants]]
id = "contoso"
name = "Contoso"
users = 5200
"""


@pytest.fixture
async def config(tmp_path: Path) -> str:
    """An installation's settings beside the database that it left behind."""
    db = Database(f"sqlite:///{tmp_path}/kept.db")
    migrate.upgrade(db)
    tale = Tale(db, policy=DEFAULT_POLICY)
    await tale.tell(signals(), until=at("06:09"))
    db.close()
    file = tmp_path / "sextant.toml"
    file.write_text(CONFIG.format(place=tmp_path), "utf-8")
    return str(file)


def asked(config: str, *more: str) -> list[str]:
    window = ["--since", "2026-03-16T06:00:00Z", "--until", "2026-03-16T06:09"]
    return ["replay", "--config", config, *window, *more]


def test_the_difference_is_printed_in_words(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "strict.toml"
    policy.write_text("[policy]\nquorum_groups = 50\n", "utf-8")
    assert main(asked(config, "--policy", str(policy))) == 0
    told = capsys.readouterr().out
    assert "under another policy" in told
    assert any(word in told for word in ("missed", "later", "changed"))


def test_the_whole_document_is_printed_as_json(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "same.json"
    policy.write_text('{"quorum_groups": 2}', "utf-8")
    assert main(asked(config, "--policy", str(policy), "--json")) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["same_policy"]
    assert (document["opened"], document["missed"], document["signals"] > 50) == ([], [], True)


def test_what_cannot_be_used_is_one_sentence(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(asked(config, "--tenant", "nobody")) == 1
    assert "contoso" in capsys.readouterr().err
    policy = tmp_path / "odd.toml"
    policy.write_text("no_such_threshold = 1\n", "utf-8")
    assert main(asked(config, "--policy", str(policy))) == 1
    assert "no_such_threshold: There is no such threshold." in capsys.readouterr().err
    early = ["replay", "--config", config, "--since", "2020-01-01", "--until", "2020-01-02"]
    assert main(early) == 1
    assert "older than the intake" in capsys.readouterr().err
