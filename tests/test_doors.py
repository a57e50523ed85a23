"""Doors are shut by default: nobody else is served before anybody can sign in."""

from pathlib import Path

import pytest

from app.bootstrap import create_app, open_database
from app.cli import main
from app.core.errors import SettingsError
from app.settings import Settings
from app.store import audit, keys


def settings(folder: Path, **server: str) -> Settings:
    return Settings.model_validate(
        {
            "database": {"url": f"sqlite:///{folder}/doors.db"},
            "server": server,
            "tenants": [{"id": "contoso"}, {"id": "fabrikam"}],
        }
    )


@pytest.mark.parametrize(
    ("host", "public_url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://127.0.0.1:8000"),
        ("192.0.2.1", "http://127.0.0.1:8000"),
        ("127.0.0.1", "https://sextant.example"),
    ],
)
def test_others_are_not_served_before_there_is_a_key(
    tmp_path: Path, host: str, public_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = settings(tmp_path, host=host, public_url=public_url)
    with pytest.raises(SettingsError, match="keys create"):
        create_app(made)
    create_app(made, roles=("work",)).state.context.db.close()
    file = tmp_path / "sextant.toml"
    file.write_text(
        f'[database]\nurl = "sqlite:///{tmp_path}/doors.db"\n[[tenants]]\nid = "contoso"\n'
    )
    wanted = ["--tenant", "*", "--scopes", "admin", "--name", "first", "--config", str(file)]
    assert main(["keys", "create", *wanted]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("sxt_key_")
    api = create_app(made)
    assert not api.state.context.open_console
    api.state.context.db.close()


def test_this_machine_alone_is_served_at_once(tmp_path: Path) -> None:
    api = create_app(settings(tmp_path, host="127.0.0.1"))
    assert api.state.context.open_console
    api.state.context.db.close()


def test_keys_are_made_rotated_and_revoked_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sextant.toml"
    file.write_text(
        f'[database]\nurl = "sqlite:///{tmp_path}/doors.db"\n'
        '[[tenants]]\nid = "contoso"\n[[tenants]]\nid = "fabrikam"\n'
    )

    def run(*words: str) -> tuple[int, list[str]]:
        code = main(["keys", *words, "--config", str(file)])
        return code, capsys.readouterr().out.splitlines()

    code, out = run(
        "create", "--tenant", "contoso,fabrikam", "--scopes", "incidents:read", "--name", "board",
        "--expires-days", "30", "--networks", "192.0.2.0/24,2001:db8::1",
    )  # fmt: skip
    assert (code, out[-1][:8]) == (0, "sxt_key_")
    _, (line,) = run("list")
    identity = line.split()[0]
    assert "contoso,fabrikam" in line
    assert "192.0.2.0/24,2001:db8::1" in line
    assert run("rotate", identity)[0] == 0
    assert run("rotate", identity)[0] == 1  # two are valid
    assert run("revoke", identity)[0] == 0
    _, lines = run("list")
    assert sum(" valid " in line and "not valid" not in line for line in lines) == 1
    assert run("create", "--tenant", "nobody", "--scopes", "admin", "--name", "x")[0] == 1
    assert run("create", "--tenant", "contoso", "--scopes", "root", "--name", "x")[0] == 2
    bad = ["create", "--tenant", "contoso", "--scopes", "admin", "--name", "x"]
    assert run(*bad, "--networks", "192.0.2.1/24")[0] == 1
    db = open_database(settings(tmp_path), may_migrate=False)
    told = [entry.action for entry in db.read_now(lambda c: audit.page(c, None, limit=10))]
    kept = db.read_now(lambda c: keys.page(c, None, after=None, limit=10))
    db.close()
    assert told == ["revoke_key", "rotate_key", "create_key"]
    assert {key.grants for key in kept} == {("contoso", "fabrikam")}
    assert {key.tenant for key in kept} == {"*"}
