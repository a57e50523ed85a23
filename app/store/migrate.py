"""Migrations: whether the tables are those of this version, and bringing them there."""

import logging
from importlib import import_module
from pathlib import Path

from sqlalchemy import Connection, String, column, inspect, select, table

from app.core.errors import StorageUnavailable
from app.store.engine import Database

log = logging.getLogger(__name__)

HEAD = "0013_trouble"
VERSION_TABLE = "alembic_version"
LOCK = 0x5E87A47  # PostgreSQL advisory lock: one replica migrates at a time
PROJECT = Path(__file__).resolve().parents[2]

OLDEST = "oldest_revision"

_INSTANCE = table("instance", column("key", String), column("value", String))
_OLDEST = select(_INSTANCE.c.value).where(_INSTANCE.c.key == OLDEST)
_VERSION = table(VERSION_TABLE, column("version_num", String(32)))


def is_current(db: Database) -> bool:
    """Say whether this version runs on the tables; two queries, without Alembic.

    Tables of a later version serve as well, so that replicas of two versions run side by side while
    they are replaced. A migration that takes away what older versions use writes the revision from
    which on versions run into ``instance``, under ``OLDEST``.

    Raises:
        StorageUnavailable: the database cannot be reached, or a later version has brought the
            tables to where this one does not run any more.
    """
    return db.read_now(_serves)


def _serves(c: Connection) -> bool:
    revision = _revision(c)
    if revision is None or _number(revision) <= _number(HEAD):
        return revision == HEAD
    oldest: str | None = c.execute(_OLDEST).scalar_one_or_none()
    if oldest is not None and _number(oldest) > _number(HEAD):
        raise StorageUnavailable(
            f"The tables are of a later version ({revision}), on which this one ({HEAD}) does not "
            "run any more: start that version."
        )
    return True


def _number(revision: str) -> int:
    """The number with which a revision begins; they are counted up."""
    digits = revision.partition("_")[0]
    return int(digits) if digits.isdigit() else 0


def upgrade(db: Database) -> None:
    """Bring the tables to this version; does nothing when they are there.

    Raises:
        StorageUnavailable: the database cannot be reached, or the migration scripts are missing.
    """
    if is_current(db):
        return
    scripts = scripts_folder()
    import_module("alembic.command")  # seconds of a busy machine, in which nobody shall be locked
    db.write_now(lambda connection: _advance(connection, scripts))
    log.info("migrated", extra={"revision": HEAD})


def _advance(connection: Connection, scripts: Path) -> None:
    if not _serves(connection):  # another replica may have done it while we waited
        run(connection, scripts, "head")


def scripts_folder() -> Path:
    """Find the migration scripts: the folder ``alembic`` beside the package ``app``.

    Raises:
        StorageUnavailable: they were not installed with the package.
    """
    folder = PROJECT / "alembic"
    if not (folder / "env.py").exists():
        raise StorageUnavailable(
            "The migration scripts are missing: the folder alembic must lie beside the folder app "
            "(run from a checkout, or from the container image)."
        )
    return folder


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(select(_VERSION)).scalar_one_or_none()


def run(connection: Connection, scripts: Path, revision: str, *, up: bool = False) -> None:
    """Move the tables up to ``head``, or down to an older revision, in this transaction.

    With ``up`` a revision is one to move up to.
    """
    # Imported here: a start on a current database must not pay for it.
    from alembic.config import Config  # noqa: PLC0415

    from alembic import command  # noqa: PLC0415

    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of its own plugins
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.attributes["connection"] = connection
    move = command.upgrade if up or revision == "head" else command.downgrade
    move(config, revision)
