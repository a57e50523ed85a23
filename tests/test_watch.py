"""The tenants of the settings are followed: by SIGHUP, without a restart, mistakes included."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from app.bootstrap import Context, build, open_database, working
from app.core.errors import SettingsError
from app.settings import Settings, load
from app.store import incidents
from app.watch import Watch
from tests.builders import an_incident

TENANT = """
[[tenants]]
id = "{id}"
users = {users}
  [tenants.graph]
  tenant_id = "{id}"
  client_id = "app"
  credential = {{ secret = "x" }}
  authority = "https://127.0.0.1:9"
  base_url = "https://127.0.0.1:9"
  [[tenants.probes]]
  name = "front"
  check = "tcp"
  target = "127.0.0.1:9"
  location = "here"
"""


class Folder:
    """A settings file that can be rewritten."""

    def __init__(self, place: Path) -> None:
        self.file = place / "sextant.toml"
        self.head = f'allow_inline_secrets = true\n[database]\nurl = "sqlite:///{place}/s.db"\n'

    def write(self, more: str = "", **users: int) -> Settings:
        tenants = (TENANT.format(id=key, users=number) for key, number in users.items())
        self.file.write_text(self.head + more + "".join(tenants))
        return self.read()

    def read(self) -> Settings:
        return load(self.file, {})


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
async def context(folder: Folder) -> AsyncIterator[Context]:
    settings = folder.write(contoso=10, fabrikam=20)
    db = open_database(settings, may_migrate=False)
    made = build(settings, db)
    yield made
    await made.poster.aclose()
    db.close()


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not met():  # noqa: ASYNC110 - what is awaited is another task's doing
            await asyncio.sleep(0.02)


def names(watch: Watch) -> set[str]:
    return {f"{kind}:{t}" for kind in ("graph", "probes") for t in ("contoso", "fabrikam", "acme")
            if f"{kind}:{t}" in watch.crew}  # fmt: skip


async def test_tenants_come_go_and_change_while_others_run_on(
    context: Context, folder: Folder
) -> None:
    async with Watch(context, works=True) as watch:
        await watch.start()
        kept = dict(watch.crew._members)
        assert len(names(watch)) == 4
        told = await watch.follow(folder.write(fabrikam=25, acme=5))
        assert (told.added, told.removed, told.changed, told.ignored) == (
            ("acme",), ("contoso",), ("fabrikam",), (),
        )  # fmt: skip
        assert names(watch) == {"graph:fabrikam", "probes:fabrikam", "graph:acme", "probes:acme"}
        assert context.fold.tenants == ("acme", "fabrikam")
        assert [t.id for t in context.settings.tenants] == ["fabrikam", "acme"]
        assert kept["graph:fabrikam"][1].done()
        again = watch.crew._members["graph:acme"]
        told = await watch.follow(folder.write(fabrikam=25, acme=5))
        assert (told.added, told.removed, told.changed) == ((), (), ())
        assert watch.crew._members["graph:acme"] == again
    assert len(watch.crew) == 0


async def test_requests_to_graph_are_counted_in_the_database(context: Context) -> None:
    graph = context.settings.tenants[0].graph
    assert graph is not None
    async with Watch(context, works=True) as watch:
        budgets = [watch._pages.graph.budget(graph) for _ in range(2)]
        for budget in budgets:
            await budget.take()
    assert budgets[1].used(context.clock.now()) == (2, 2)


async def test_what_needs_a_restart_is_named_and_not_half_done(
    context: Context, folder: Folder
) -> None:
    async with Watch(context, works=False) as watch:
        await watch.start()
        told = await watch.follow(folder.write("[retention]\nintake_days = 3\n", contoso=10))
        assert (told.removed, told.ignored) == (("fabrikam",), ("retention",))
        assert context.settings.retention.intake_days == 30
        assert len(watch.crew) == 0


async def test_what_is_stored_of_a_removed_tenant_stays(context: Context, folder: Folder) -> None:
    await context.db.write(lambda c: incidents.put(c, [an_incident()]))
    async with Watch(context, works=False) as watch:
        await watch.start()
        await watch.follow(folder.write(fabrikam=20))
        assert not await context.fold.step(context.fold.tenants[0])
        living = await context.db.read(lambda c: incidents.living(c, "contoso"))
        assert [incident.id for incident in living] == ["inc_1"]
        await watch.follow(folder.write(contoso=10, fabrikam=20))
        assert context.fold.tenants == ("contoso", "fabrikam")


@pytest.fixture
def hang_up() -> Callable[[], Awaitable[None]]:
    async def send() -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0)

    return send


async def test_a_hang_up_reads_the_file_again_and_survives_its_mistakes(
    context: Context, folder: Folder, hang_up: Callable[[], Awaitable[None]],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level("INFO")

    def said(action: str) -> int:
        return sum(record.message == action for record in caplog.records)

    async with working(context, ("api", "work"), folder.read):
        folder.write(contoso=10, acme=1)
        await hang_up()
        await until(lambda: said("settings_followed") == 1)
        assert context.fold.tenants == ("acme", "contoso")
        folder.file.write_text("tenants = nonsense")
        with pytest.raises(SettingsError):
            folder.read()
        await hang_up()
        await until(lambda: said("settings_not_followed") == 1)
        assert context.fold.tenants == ("acme", "contoso")
        folder.write(contoso=10)
        await hang_up()
        await until(lambda: said("settings_followed") == 2)
        assert context.fold.tenants == ("contoso",)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
