"""Backup and restore of a SQLite database: whole copies, taken while it is written to.

After a restore the numbers of events and incidents go on where the replaced database had come to,
or far beyond where the copy stood, so that no reader of the feed meets a number twice.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core.errors import Unrestorable

PAGES = 512  # copied between two breaths of the writer
BREATH_SECONDS = 0.01
EVENTS_AHEAD = 1_000_000  # numbers that are left out where it is not known how many were used
INCIDENTS_AHEAD = 1_000
BESIDE = ("", "-wal", "-shm")  # files of one SQLite database
SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """What a copy holds: ``revision`` of its tables, the last ``event`` of each tenant."""

    file: Path
    bytes: int
    revision: str
    events: dict[str, int]
    newest_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was put in place, what it replaced, and the revocations that were carried over."""

    copy: Copy
    aside: Path | None
    goes_on_at: dict[str, int]
    revocations: int


def file_of(url: str) -> Path:
    """The file of a database's address.

    Raises:
        Unrestorable: it is no SQLite database.
    """
    if not url.startswith(SQLITE):
        raise Unrestorable("This is for SQLite; of PostgreSQL take copies with pg_dump.")
    return Path(url.removeprefix(SQLITE))


def take(url: str, target: Path) -> Copy:
    """Copy a database, in use or not, to a new file; the copy is checked before it has its name.

    Raises:
        Unrestorable: there is no database, the target exists, or the copy is damaged.
    """
    source = file_of(url)
    if not source.exists():
        raise Unrestorable(f"There is no database at {source}.")
    if target.exists():
        raise Unrestorable(f"{target} exists; a copy never replaces a file.")
    unfinished = target.with_name(f"{target.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    with _opened(source) as one, _opened(unfinished) as other:
        one.backup(other, pages=PAGES, sleep=BREATH_SECONDS)
        other.execute("PRAGMA journal_mode=DELETE")  # one file, whole by itself
    looked_at = look(unfinished)
    with unfinished.open("rb") as copied:
        os.fsync(copied.fileno())
    unfinished.rename(target)
    _sync(target.parent)
    return Copy(
        file=target,
        bytes=target.stat().st_size,
        revision=looked_at.revision,
        events=looked_at.events,
        newest_at=looked_at.newest_at,
    )


def look(file: Path) -> Copy:
    """Check a copy and say what it holds.

    Raises:
        Unrestorable: it is damaged, or no database of ours.
    """
    if not file.exists():
        raise Unrestorable(f"There is no file {file}.")
    try:
        with _opened(file) as c:
            found = c.execute("PRAGMA integrity_check").fetchone()[0]
            if found != "ok":
                raise Unrestorable(f"{file} is damaged: {found}.")
            revision = c.execute("SELECT version_num FROM alembic_version").fetchone()[0]
            newest = c.execute("SELECT max(occurred_at) FROM events").fetchone()[0]
            return Copy(
                file=file,
                bytes=file.stat().st_size,
                revision=str(revision),
                events=_sequences(c),
                newest_at=newest,
            )
    except (sqlite3.DatabaseError, TypeError) as error:
        raise Unrestorable(f"{file} is no database of Sextant: {error}.") from error


def restore(url: str, copy: Path, *, replace: bool, aside: str) -> Restored:
    """Put a copy in the place of the database; what was there is kept beside it.

    Args:
        url: the database's address; nobody may have it open.
        copy: a file that ``take`` made.
        replace: whether a database that is there may be put aside.
        aside: what is added to its name.

    Raises:
        Unrestorable: the copy is damaged, or the database is there, or in use.
    """
    target = file_of(url)
    looked_at = look(copy)
    kept: Path | None = None
    former: dict[str, tuple[int, int]] = {}
    revoked: list[Any] = []
    if target.exists():
        if not replace:
            raise Unrestorable(f"{target} is there already; --replace puts it aside.")
        _refuse_in_use(target)
        former, revoked = _memory(target)
        kept = target.with_name(f"{target.name}.{aside}")
    placed = target.with_name(f"{target.name}.restoring")
    placed.unlink(missing_ok=True)
    with _opened(copy) as one, _opened(placed) as other:
        one.backup(other)
        goes_on_at = _go_on(other, former, known=kept is not None)
        for key, at in revoked:
            other.execute(
                "UPDATE api_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", (at, key)
            )
        other.commit()
    with placed.open("rb") as copied:
        os.fsync(copied.fileno())
    if kept is not None:
        for end in BESIDE:
            part = target.with_name(target.name + end)
            if part.exists():
                part.rename(kept.with_name(kept.name + end))
    placed.rename(target)
    _sync(target.parent)
    return Restored(copy=looked_at, aside=kept, goes_on_at=goes_on_at, revocations=len(revoked))


@contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(file)
    try:
        yield connection
    finally:
        connection.close()


def _sequences(c: sqlite3.Connection) -> dict[str, int]:
    return dict(c.execute("SELECT tenant, sequence FROM fold_state").fetchall())


def _refuse_in_use(file: Path) -> None:
    """Refuse while somebody may have the database open: then its log lies beside it.

    Raises:
        Unrestorable: it is in use.
    """
    try:
        with _opened(file) as c:
            c.execute("PRAGMA busy_timeout=0")
            c.execute("PRAGMA locking_mode=EXCLUSIVE")
            c.execute("BEGIN EXCLUSIVE")
            c.rollback()
            # Leaving the log behind needs everybody else to have gone.
            mode = c.execute("PRAGMA journal_mode=DELETE").fetchone()[0]
    except sqlite3.OperationalError as error:
        raise Unrestorable(f"{file} is in use: end `sextant serve` first.") from error
    except sqlite3.DatabaseError:
        return  # damaged: that is what a restore is for
    if mode != "delete":
        raise Unrestorable(f"{file} is in use: end `sextant serve` first.")


def _memory(file: Path) -> tuple[dict[str, tuple[int, int]], list[Any]]:
    """What the replaced database knows better: numbers that were used, keys that were revoked."""
    try:
        with _opened(file) as c:
            used = c.execute("SELECT tenant, sequence, number FROM fold_state").fetchall()
            revoked = c.execute(
                "SELECT id, revoked_at FROM api_keys WHERE revoked_at IS NOT NULL"
            ).fetchall()
    except sqlite3.DatabaseError:
        return {}, []
    return {tenant: (sequence, number) for tenant, sequence, number in used}, revoked


def _go_on(
    c: sqlite3.Connection, former: dict[str, tuple[int, int]], *, known: bool
) -> dict[str, int]:
    """Let numbers go on behind those that were used."""
    found = {}
    rows = c.execute("SELECT tenant, sequence, number FROM fold_state").fetchall()
    for tenant, sequence, number in rows:
        last = former.get(tenant)
        if last is None or not known:
            last = (sequence + EVENTS_AHEAD, number + INCIDENTS_AHEAD)
        found[tenant] = max(sequence, last[0])
        c.execute(
            "UPDATE fold_state SET sequence = ?, number = ? WHERE tenant = ?",
            (found[tenant], max(number, last[1]), tenant),
        )
    return found


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
