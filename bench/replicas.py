"""Two replicas against one on PostgreSQL: reports folded and deliveries made, per second.

Method. On one machine the replicas, PostgreSQL and the load share the cores, so that a second
replica has nothing to work with. Each replica is therefore held to a fixed share of one core (a
control group of Linux, as a container is), small enough that the rest has room: what a second
machine would bring. A backlog of reports of eight tenants is stored while the replicas run; then of
deliveries to sixteen receivers. Counted is from when it is stored until two fifths are left, for a
tenant is folded by one replica. Rounds of one and of two replicas alternate. Where the machine does
much else, the rates say little; what each replica did per second of its own processor time says
whether a second one costs more than it brings (2.0: it does not).

``python -m bench.replicas --share 0.2 --rounds 2`` (as root).
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text, tuple_

from app.core.batch import Batch, batch_of_reports
from app.core.types import TenantId
from app.flow.ingest import Intake
from app.kit.clock import SystemClock
from app.kit.vault import Vault
from app.store import instance, migrate, states
from app.store.engine import Database
from app.store.intake import FOLDED_TX
from app.store.notices import CHANNEL
from app.store.tables import DeliveryRow, IntakeRow
from bench.deliver import TENANT, emit, prepare
from bench.rig import HOST, Process, start_sextant
from bench.sink import sinking
from tests.builders import a_report
from tests.postgres import Postgres

TENANTS = [TenantId(f"t{number}") for number in range(8)]
REPORTS = 1000  # of one batch
RECEIVERS = 16
CGROUPS = Path("/sys/fs/cgroup/cpu")
PERIOD = 20_000  # microseconds in which a share is given
PATIENCE = 240.0
TAIL = 0.4  # of what waits: at the end one replica works alone, as tenants do not divide evenly
LOOK = 0.1
I = IntakeRow.__table__  # type: ignore[attr-defined]  # noqa: E741 - SQLModel adds it at run time
D = DeliveryRow.__table__  # type: ignore[attr-defined]  # the same


@contextlib.contextmanager
def held(process: Process, share: float) -> Iterator[None]:
    """Hold a process to a share of one core."""
    group = CGROUPS / f"sextant-bench-{process.process.pid}"
    group.mkdir()
    (group / "cpu.cfs_period_us").write_text(str(PERIOD))
    (group / "cpu.cfs_quota_us").write_text(str(int(PERIOD * share)))
    (group / "cgroup.procs").write_text(str(process.process.pid))
    try:
        yield
    finally:
        process.process.kill()
        process.process.wait()
        group.rmdir()


def unfolded(db: Database) -> int:
    """How many reports wait to be folded."""

    def work(c: Any) -> int:
        left = 0
        for tenant in TENANTS:
            point = states.checkpoint(c, tenant)
            behind = tuple_(I.c.tx, I.c.seq) > tuple_(point.tx, point.seq)
            where = (I.c.tenant == tenant, I.c.tx != FOLDED_TX, behind)
            left += c.execute(select(func.coalesce(func.sum(I.c.count), 0)).where(*where)).scalar()
        return left

    return db.read_now(work)


def undelivered(db: Database) -> int:
    """How many deliveries wait."""
    waiting = select(func.count()).select_from(D).where(D.c.state == "pending")
    return int(db.read_now(lambda c: c.execute(waiting).scalar_one()))


def shared(db: Database) -> int:
    """By how many replicas the tenants are folded; 0 while one of them is folded by nobody."""
    query = text("SELECT owner FROM leases WHERE name LIKE 'fold:%'")
    owners = db.read_now(lambda c: c.execute(query).scalars().all())
    return len(set(owners)) if len(owners) > len(TENANTS) and "" not in owners else 0


async def _until(what: Any, db: Database) -> float:
    begun = time.monotonic()
    while time.monotonic() - begun < PATIENCE:
        if await asyncio.to_thread(what, db):
            return time.monotonic() - begun
        await asyncio.sleep(LOOK)
    raise TimeoutError(what.__name__)


async def _rate(count: Any, db: Database, replicas: list[Process]) -> tuple[float, float]:
    """What was done per second, and per second of the replicas' processor time."""

    def spent() -> float:
        return sum(replica.cpu() for replica in replicas)

    used, whole, begun = spent(), await asyncio.to_thread(count, db), time.monotonic()
    while time.monotonic() - begun < PATIENCE:
        left = await asyncio.to_thread(count, db)
        if left <= whole * TAIL:
            done = whole - left
            return done / (time.monotonic() - begun), done / (spent() - used)
        await asyncio.sleep(LOOK)
    raise TimeoutError(count.__name__)


def _made(batches: int) -> list[Batch]:
    """Batches of reports; every tenant gets them all."""
    now = SystemClock().now()
    return [
        batch_of_reports(
            [a_report(at=now - timedelta(seconds=n % 120), actor=f"r{n}") for n in range(REPORTS)]
        )
        for _ in range(batches)
    ]


async def _store(db: Database, made: list[Batch]) -> None:
    intake, now = Intake(db), SystemClock().now()
    await asyncio.gather(
        *(
            intake.append_batch(tenant, batch, source="bench", now=now)
            for batch in made
            for tenant in TENANTS
        )
    )


def ring(db: Database, bell: str) -> None:
    """Tell the replicas that something came, as the replica does that took it."""
    message = {"channel": CHANNEL, "message": f"bench {bell}"}
    db.write_now(lambda c: c.execute(text("SELECT pg_notify(:channel, :message)"), message))


def settings(folder: Path, url: str) -> Path:
    """Write the settings of a replica."""
    file = folder / "sextant.toml"
    names = [*TENANTS, TENANT]
    lines = [
        f'[database]\nurl = "{url}"',
        f'[egress]\nallow = [{{ cidr = "{HOST}/32" }}]',
        *(f'[[tenants]]\nid = "{name}"\nusers = 5200' for name in names),
    ]
    file.write_text("\n".join(lines) + "\n")
    return file


async def _round(replicas: int, share: float, size: tuple[int, int]) -> dict[str, float]:
    postgres = await asyncio.to_thread(Postgres, synchronous_commit="on", fsync="on")
    db = Database(url := postgres.url(postgres.create()))
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            sinking() as address,
            contextlib.ExitStack() as stack,
        ):
            urls = [f"{address}/{number}" for number in range(RECEIVERS)]
            prepare(db, urls, Vault(instance_secret(db)))
            file, made = settings(Path(folder), url), _made(size[0])
            started: list[Process] = []
            for _ in range(replicas):
                process = start_sextant(file, "work")
                started.append(process)
                await asyncio.to_thread(process.ready)
                stack.enter_context(held(process, share))
            await _until(lambda d: shared(d) == replicas, db)
            await _store(db, made)
            ring(db, "intake")
            folded = await _rate(unfolded, db, started)
            for first in range(1, size[1], 50):
                emit(db, first, 50)
            ring(db, "deliver")
            sent = await _rate(undelivered, db, started)
            return {
                "folded": folded[0], "folded_cpu": folded[1],
                "delivered": sent[0], "delivered_cpu": sent[1],
            }  # fmt: skip
    finally:
        db.close()
        await asyncio.to_thread(postgres.close)


def instance_secret(db: Database) -> str:
    """The secret by which the replicas open what is sealed; makes the tables first."""

    migrate.upgrade(db)
    return instance.secret(db, "instance")


async def main() -> None:
    """Alternate, and print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--share", type=float, default=0.2, help="of one core, for each replica")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batches", type=int, default=15, help="of 1,000 reports, per tenant")
    parser.add_argument("--events", type=int, default=250, help="each for sixteen receivers")
    given = parser.parse_args()
    found: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    for _ in range(given.rounds):
        for replicas, rounds in found.items():
            rounds.append(await _round(replicas, given.share, (given.batches, given.events)))
            print(replicas, rounds[-1], f"load {os.getloadavg()[0]:.0f}", flush=True)
    told: dict[str, Any] = {"share": given.share}
    for name in ("folded", "delivered"):
        one, two = (statistics.median(r[name] for r in found[n]) for n in (1, 2))
        per = [statistics.median(r[f"{name}_cpu"] for r in found[n]) for n in (1, 2)]
        told[name] = {
            "one": round(one), "two": round(two), "ratio": round(two / one, 2),
            "per_processor_second": [round(figure) for figure in per],
            "ratio_by_processor": round(2 * per[1] / per[0], 2),
        }  # fmt: skip
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    asyncio.run(main())
