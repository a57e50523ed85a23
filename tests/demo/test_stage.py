"""The demo's settings file is one that Sextant reads, and what cannot start says why."""

import socket
import tomllib
from pathlib import Path
from typing import Any

import pytest

from app.demo.player import run
from app.demo.stage import SECRET_VARIABLE, settings
from app.demo.story import Story
from app.settings import load

STORY = Story.load("exchange-2026-03")
FACTS: dict[str, Any] = {
    "ports": {"graph": 9001, "front_door": 9002, "receiver": 9003},
    "authority": "https://127.0.0.1:9001",
    "base_url": "https://127.0.0.1:9001",
    "front_door": "https://127.0.0.1:9002",
    "ca_file": "/somewhere/ca.pem",
    "tenant_id": "0f6a3c1e-5b7d-4a52-9c1b-2d8e4f60a7b9",
    "client_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
}


def test_the_settings_name_every_check_at_every_location(tmp_path: Path) -> None:
    tree = tomllib.loads(settings(STORY, FACTS, port=8000, directory=tmp_path))
    (tenant,) = tree["tenants"]
    assert {(probe["location"], probe["name"]) for probe in tenant["probes"]} == {
        (place, check)
        for place in ("berlin", "london", "new-york")
        for check in ("owa", "activesync", "mapi", "control")
    }
    assert tree["egress"]["allow"] == [{"cidr": "127.0.0.1/32", "ports": [9003]}]
    assert tenant["graph"]["credential"] == {"secret": {"env": SECRET_VARIABLE}}


def test_sextant_reads_the_settings_and_the_clock(tmp_path: Path) -> None:
    file = tmp_path / "sextant.toml"
    file.write_text(settings(STORY, FACTS, port=8123, directory=tmp_path), "utf-8")
    read = load(
        file,
        {
            SECRET_VARIABLE: "x",
            "SEXTANT_CLOCK__START": STORY.skip_to.isoformat(),
            "SEXTANT_CLOCK__SPEED": "60",
            "SEXTANT_CLOCK__MARK": "1700000000.5",
        },
    )
    assert read.clock.start == STORY.skip_to
    assert read.server.public_url == "http://127.0.0.1:8123"
    assert len(read.tenants[0].probes) == 12


def test_a_port_in_use_is_said_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(port=port, speed=60, scenario="exchange-2026-03", once=True) == 1
    said = capsys.readouterr().err.strip()
    assert said == (
        f"Port {port} is in use; end what listens there, or choose another with --port."
    )


@pytest.mark.parametrize(
    ("more", "word"), [({"scenario": "nothing"}, "no story"), ({"speed": 0}, "speed")]
)
def test_wrong_wishes_are_said_in_one_sentence(
    capsys: pytest.CaptureFixture[str], more: dict[str, Any], word: str
) -> None:
    wishes = {"port": 8000, "speed": 60.0, "scenario": "exchange-2026-03", "once": True} | more
    assert run(**wishes) == 1
    assert word in capsys.readouterr().err
