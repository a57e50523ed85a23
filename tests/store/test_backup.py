"""A copy is taken while it is written to, and put back; the feed goes on, never back."""

import asyncio
import json
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from app.cli import main
from app.core.errors import Unrestorable
from app.flow import keys
from app.store import backup, events
from app.store import keys as store
from tests.api.surface import CALLS, Surface, served
from tests.builders import NOW, TENANT


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/sextant.db"


async def opened(surface: Surface, number: int = 1) -> list[str]:
    """Open incidents; gives their numbers."""
    headers = await surface.key("admin")
    made = []
    async with surface.client() as client:
        for _ in range(number):
            answer = await client.post(
                "/v1/incidents", json=CALLS["open_incident"], headers=headers
            )
            assert answer.status_code == 201, answer.text
            made.append(answer.json()["number"])
    return made


def feed(surface: Surface) -> list[tuple[int, str]]:
    rows = surface.db.read_now(lambda c: events.after(c, TENANT, 0, 10_000))
    return [(row.sequence, json.loads(row.body)["id"]) for row in rows]


async def test_a_copy_is_taken_under_load_and_the_feed_goes_on_behind_what_was_told(
    url: str, tmp_path: Path
) -> None:
    surface = served(url)
    await opened(surface, 3)
    copies: list[backup.Copy] = []
    stop = threading.Event()

    def copying() -> None:
        while not stop.is_set():
            copies.append(backup.take(url, tmp_path / f"copy-{len(copies)}.db"))

    thread = threading.Thread(target=copying)
    thread.start()
    used = await opened(surface, 40)
    stop.set()
    await asyncio.to_thread(thread.join)
    told = feed(surface)
    surface.db.close()
    assert len(copies) > 1
    for copy in copies:
        assert backup.look(copy.file).events == copy.events
        assert 3 <= copy.events[TENANT] <= told[-1][0]
    done = backup.restore(url, copies[0].file, replace=True, aside="replaced")
    assert done.goes_on_at == {TENANT: told[-1][0]}
    again = served(url)
    kept = feed(again)
    assert kept == told[: len(kept)]
    numbers = await opened(again, 2)
    after = [pair for pair in feed(again) if pair not in kept]
    again.db.close()
    assert [sequence for sequence, _ in after] == [told[-1][0] + 1, told[-1][0] + 2]
    assert {identity for _, identity in after}.isdisjoint(identity for _, identity in told)
    assert set(numbers).isdisjoint(used)
    assert done.aside is not None
    assert backup.look(done.aside).events == {TENANT: told[-1][0]}


async def test_where_the_old_database_is_lost_numbers_are_left_out(
    url: str, tmp_path: Path
) -> None:
    surface = served(url)
    await opened(surface, 2)
    copy = backup.take(url, tmp_path / "copy.db")
    surface.db.close()
    for end in backup.BESIDE:
        (tmp_path / f"sextant.db{end}").unlink(missing_ok=True)
    done = backup.restore(url, copy.file, replace=False, aside="x")
    assert done.goes_on_at[TENANT] == copy.events[TENANT] + backup.EVENTS_AHEAD


async def test_what_was_revoked_stays_revoked(url: str, tmp_path: Path) -> None:
    surface = served(url)
    made = await keys.create(surface.db, tenant=TENANT, name="a", scopes=["admin"], now=NOW)
    copy = backup.take(url, tmp_path / "copy.db")
    later = NOW + timedelta(hours=1)
    await keys.revoke(surface.db, tenant=TENANT, key_id=made.key.id, now=later)
    surface.db.close()
    assert backup.restore(url, copy.file, replace=True, aside="x").revocations == 1
    again = served(url)
    found = again.db.read_now(lambda c: store.get(c, TENANT, made.key.id))
    again.db.close()
    assert found is not None
    assert found.revoked_at == later


async def test_what_cannot_be_right_is_refused(url: str, tmp_path: Path) -> None:
    surface = served(url)
    await opened(surface)
    copy = backup.take(url, tmp_path / "copy.db")
    with pytest.raises(Unrestorable, match="exists"):
        backup.take(url, copy.file)
    with pytest.raises(Unrestorable, match="--replace"):
        backup.restore(url, copy.file, replace=False, aside="x")
    with pytest.raises(Unrestorable, match="in use"):
        backup.restore(url, copy.file, replace=True, aside="x")
    surface.db.close()
    whole = copy.file.read_bytes()
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(whole[:8192] + b"\xff" * 4096 + whole[12288:])
    for wrong in (damaged, tmp_path / "none.db", Path(__file__)):
        with pytest.raises(Unrestorable):
            backup.restore(url, wrong, replace=True, aside="x")
    with pytest.raises(Unrestorable, match="pg_dump"):
        backup.take("postgresql://x/y", tmp_path / "z.db")
    with pytest.raises(Unrestorable, match="no database"):
        backup.take(f"sqlite:///{tmp_path}/nothing.db", tmp_path / "z.db")


async def test_the_command_line_does_all_of_it(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    surface = served(url)
    await opened(surface)
    file = tmp_path / "sextant.toml"
    file.write_text(f'[database]\nurl = "{url}"\n[[tenants]]\nid = "contoso"\n')

    def run(*words: str) -> tuple[int, str]:
        code = main([*words, "--config", str(file)])
        told = capsys.readouterr()
        return code, told.out + told.err

    code, told = run("backup", str(tmp_path / "copy.db"))
    assert (code, "checked" in told) == (0, True)
    assert run("restore", str(tmp_path / "copy.db"), "--replace")[0] == 1  # in use
    surface.db.close()
    code, told = run("restore", str(tmp_path / "copy.db"), "--replace")
    assert (code, "0 numbers are left out" in told) == (0, True), told
