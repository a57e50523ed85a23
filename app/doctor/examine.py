"""The whole examination: settings first, then the database and what it knows, then the network."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import monotonic

from sqlalchemy import URL, make_url

from app.core.errors import StorageUnavailable
from app.doctor import paper, place, sight, stored
from app.doctor.finding import Finding, note, problem, warning, well
from app.flow.retention import Due
from app.kit.clock import Clock
from app.settings import Settings
from app.store import migrate
from app.store.engine import Database

Overdue = Callable[[Database], Awaitable[Sequence[Due]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """What the doctor looks with.

    ``overdue`` counts what should have been deleted a day ago. ``free`` gives the total and the
    free bytes of the disk that holds a path. ``offline``: nothing on the network is asked.
    """

    clock: Clock
    overdue: Overdue
    free: place.Free = place.free_of
    offline: bool = False


async def examine(settings: Settings, instruments: Instruments) -> list[Finding]:
    """Look at everything; changes nothing, sends nothing to people."""
    now = instruments.clock.now()
    found = list(paper.read(settings))
    found += await _database(settings, instruments, now)
    found += place.disk(_folder(settings), instruments.free)
    found += sight.probes(settings)
    if instruments.offline:
        found.append(note("graph", "Not asked, because of --offline."))
    else:
        found += await sight.graph(settings, instruments.clock)
    return found


def _folder(settings: Settings) -> Path:
    url = make_url(settings.database.url)
    if url.get_backend_name() == "sqlite" and url.database:
        return Path(url.database).absolute().parent
    return Path.cwd()


async def _database(settings: Settings, instruments: Instruments, now: datetime) -> list[Finding]:
    url = make_url(settings.database.url)
    shown = url.render_as_string(hide_password=True)
    if _is_absent(url):
        text = f"{shown} is not there yet."
        return [note("database", text, fix="The first `sextant serve` makes it.")]
    db = Database(settings.database.url)
    try:
        if not migrate.is_current(db):
            return [_old_tables(db, shown)]
        return await _looked(settings, instruments, db, shown, now)
    except StorageUnavailable as error:
        text = f"{shown} cannot be reached: {error.detail or 'no answer'}"
        fix = "See that the server runs, and that address, user and password are right."
        return [problem("database", text, fix)]
    finally:
        db.close()


def _is_absent(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and not Path(url.database or "").exists()


def _old_tables(db: Database, shown: str) -> Finding:
    text = f"{shown} is reachable, but its tables are not of this version."
    if db.dialect == "sqlite":
        return warning("database", text, "`sextant serve` brings them up by itself; back up first.")
    return problem("database", text, "Run `sextant migrate`.")


async def _looked(
    settings: Settings, instruments: Instruments, db: Database, shown: str, now: datetime
) -> list[Finding]:
    started = monotonic()
    known = await db.read(lambda c: stored.known(c, settings, now))
    took = 1000 * (monotonic() - started)
    text = f"{shown} is reachable ({took:.0f} ms) and its tables are of this version."
    found = [well("database", text), *place.clock(known, now, settings)]
    found += stored.judged(settings, known, now)
    found += stored.overdue(await instruments.overdue(db))
    return found
