"""Replicas share the work, and take over what a killed or hung one did.

``python -m tests.chaos.takeover`` runs two ``serve --roles work`` on one PostgreSQL; each tenant's
Graph is read every five seconds. One is killed; then a third is started, stopped as by a pause of
its machine, and waked when its work has gone. Told are the seconds until the others had everything,
the longest a tenant went without a read, and reads that two replicas made of one tenant at once.
"""

import asyncio
import json
import os
import signal
import tempfile
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import text

from app.store import migrate
from app.store.engine import Database
from bench.graph import Cloud, serving
from bench.rig import HOST, Process, start_sextant
from tests.postgres import Postgres
from tests.standins.ca import create

TENANTS = 20
PERIOD = 5.0  # seconds between two reads of a tenant
WANTED = 10.0  # seconds within which work is taken over
PATIENCE = 60.0
LOOK = 0.1
QUERY = "SELECT name, owner, token FROM leases WHERE name NOT LIKE 'replica:%'"


class Table:
    """The leases, looked at from outside."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def owners(self) -> Counter[str]:
        """How many pieces of the tenants' work each replica has."""
        rows = self._db.read_now(lambda c: c.execute(text(QUERY)).all())
        return Counter(row.owner for row in rows if ":" in row.name)

    async def until(self, replicas: int, *, without: str | None = None) -> float:
        """Wait until all work is shared by so many, none of it that one's; seconds it took."""
        begun = time.monotonic()
        while time.monotonic() - begun < PATIENCE:
            owners = await asyncio.to_thread(self.owners)
            there = set(owners) - {""}
            done = sum(owners[o] for o in there) == TENANTS * 2 and len(there) == replicas
            if done and without not in there:
                return time.monotonic() - begun
            await asyncio.sleep(LOOK)
        raise TimeoutError(dict(owners))


def settings(folder: Path, url: str, port: int, ca_file: Path) -> Path:
    """Write the settings of a replica."""
    root = f"https://{HOST}:{port}"
    graph = (
        f'client_id = "app"\ncredential = {{ secret = "s" }}\nauthority = "{root}"\n'
        f'base_url = "{root}"\nca_file = "{ca_file}"\npoll_hot_seconds = {PERIOD}\n'
        f"poll_calm_seconds = {PERIOD}\n"
    )
    tables = (
        f'[[tenants]]\nid = "t{n}"\n[tenants.graph]\ntenant_id = "d{n}"\n{graph}'
        for n in range(TENANTS)
    )
    file = folder / "sextant.toml"
    head = f'allow_inline_secrets = true\n[database]\nurl = "{url}"\n'
    file.write_text(head + "".join(tables), "utf-8")
    return file


def _holder(table: Table, before: set[str]) -> str:
    """The replica that was not there before."""
    (fresh,) = set(table.owners()) - before - {""}
    return fresh


async def _play(table: Table, file: Path, cloud: Cloud, replicas: list[Process]) -> dict[str, Any]:
    told: dict[str, Any] = {"tenants": TENANTS, "period_seconds": PERIOD}

    async def another() -> Process:
        replicas.append(start_sextant(file, "work"))
        await asyncio.to_thread(replicas[-1].ready)
        return replicas[-1]

    first = await another()
    await table.until(1)
    one = _holder(table, set())
    await another()
    await table.until(2)
    told["shares_of_two"] = sorted(table.owners().values())
    await asyncio.sleep(PERIOD * 2)
    cloud.read_at.clear()
    first.process.kill()
    told["killed_seconds"] = round(await table.until(1, without=one), 1)
    await asyncio.sleep(PERIOD * 2)
    told["longest_without_a_read_seconds"] = round(_longest(cloud), 1)
    before = set(table.owners())
    third = await another()
    await table.until(2)
    two = _holder(table, before)
    os.kill(third.process.pid, signal.SIGSTOP)
    told["hung_seconds"] = round(await table.until(1, without=two), 1)
    os.kill(third.process.pid, signal.SIGCONT)
    told["back_in_seconds"] = round(await table.until(2), 1)
    third.process.terminate()
    told["stopped_seconds"] = round(await table.until(1, without=two), 1)
    cloud.read_at.clear()
    await asyncio.sleep(PERIOD * 4)
    gaps = [b - a for at in cloud.read_at.values() for a, b in pairwise(sorted(at))]
    told["reads_too_near"] = sum(gap < PERIOD / 2 for gap in gaps)
    told["met"] = max(told["killed_seconds"], told["hung_seconds"]) <= WANTED
    return told


def _longest(cloud: Cloud) -> float:
    now = time.monotonic()
    return max(max(b - a for a, b in pairwise([*sorted(at), now])) for at in cloud.read_at.values())


async def main() -> None:
    """Play it and print what was seen."""
    server = Postgres()
    url = server.url(server.create())
    db = Database(url)
    migrate.upgrade(db)
    replicas: list[Process] = []
    try:
        with tempfile.TemporaryDirectory() as place:
            folder, cloud = Path(place), Cloud()
            files = create(folder / "ca")
            async with serving(cloud, files) as port:
                file = settings(folder, url, port, files.ca_file)
                told = await _play(Table(db), file, cloud, replicas)
        print(json.dumps(told, indent=1))
    finally:
        for replica in replicas:
            replica.process.kill()
        db.close()
        server.close()


if __name__ == "__main__":
    asyncio.run(main())
