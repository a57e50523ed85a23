"""``sextant channel test``: one message that says it is a test, and what to set right."""

import asyncio
from pathlib import Path

import pytest

from app.cli import main
from tests.standins.channels.slack import Slack
from tests.standins.channels.trouble import serving

SETTINGS = """
allow_inline_secrets = true
[[tenants]]
id = "contoso"
[[tenants.channels]]
name = "desk"
kind = "slack"
slack = {{ token = "{token}", channel = "C0123456789", base_url = "{root}/api" }}
"""


async def tried(tmp_path: Path, door: Slack, token: str, name: str = "desk") -> int:
    async with serving(door) as root:
        file = tmp_path / "sextant.toml"
        file.write_text(SETTINGS.format(token=token, root=root))
        return await asyncio.to_thread(main, ["channel", "test", name, "--config", str(file)])


async def test_a_channel_that_works_shows_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    door = Slack()
    assert await tried(tmp_path, door, door.token) == 0
    assert "Test: Sextant tries this channel" in door.messages[0].text
    assert "desk (slack, for help_desk): well." in capsys.readouterr().out


async def test_a_channel_that_does_not_says_what_to_set_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await tried(tmp_path, Slack(), "xoxb-wrong") == 1
    told = capsys.readouterr().out
    assert "invalid_auth The token is not a bot token" in told
    assert "xoxb-wrong" not in told


async def test_an_unknown_channel_names_the_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await tried(tmp_path, Slack(), "x", name="dsk") == 1
    assert "There is no channel dsk; known: desk." in capsys.readouterr().err
