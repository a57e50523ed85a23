"""The commands about what is kept: backup, restore, and what retention would delete."""

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

MEGABYTE = 1_000_000


def register(add: Callable[..., Any]) -> None:
    """Add the commands to the command line."""
    backup = add("backup", _backup, "Copy the SQLite database to a file, also while it is in use.")
    backup.add_argument("file", metavar="FILE", type=Path)
    restore = add("restore", _restore, "Put a copy in the place of the SQLite database.")
    restore.add_argument("file", metavar="FILE", type=Path)
    restore.add_argument("--replace", action="store_true", help="put the present one aside")
    retention = add("retention", _retention, "Delete what is no longer kept, or say what that is.")
    retention.add_argument("--dry-run", action="store_true", help="count, and delete nothing")


def _backup(arguments: argparse.Namespace) -> int:
    from app.main import read_settings  # noqa: PLC0415 - slow to import
    from app.store import backup  # noqa: PLC0415 - the same

    made = backup.take(read_settings(arguments.config).database.url, arguments.file)
    print(f"{made.file}: {made.bytes / MEGABYTE:.1f} MB, tables {made.revision}, checked.")
    for tenant, sequence in sorted(made.events.items()):
        print(f"{tenant}: events up to number {sequence}")
    print(f"Newest event: {made.newest_at or 'none'}")
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    from app.kit.clock import SystemClock  # noqa: PLC0415 - slow to import
    from app.main import read_settings  # noqa: PLC0415 - the same
    from app.store import backup  # noqa: PLC0415 - the same

    now = SystemClock().now()
    done = backup.restore(
        read_settings(arguments.config).database.url,
        arguments.file,
        replace=arguments.replace,
        aside=f"replaced-{now:%Y%m%dT%H%M%SZ}",
    )
    print(f"Restored {done.copy.file}, tables {done.copy.revision}.")
    if done.aside is not None:
        print(f"What was there lies at {done.aside}; {done.revocations} revoked keys stay revoked.")
    else:
        print("Keys that were revoked after the copy are valid again: see `sextant keys list`.")
    for tenant, sequence in sorted(done.goes_on_at.items()):
        lost = sequence - done.copy.events.get(tenant, 0)
        print(f"{tenant}: events go on after number {sequence}; {lost} numbers are left out")
    print("Now start `sextant serve`; it migrates the tables if they are older.")
    return 0


def _retention(arguments: argparse.Namespace) -> int:
    return asyncio.run(_retain(arguments))


async def _retain(arguments: argparse.Namespace) -> int:
    from app.bootstrap import open_database, retention_with  # noqa: PLC0415 - slow to import
    from app.main import read_settings  # noqa: PLC0415 - the same

    settings = read_settings(arguments.config)
    db = open_database(settings, may_migrate=False)
    try:
        retention = retention_with(settings, db)
        verb = "would go" if arguments.dry_run else "went"
        for due in await retention.due():
            print(f"{due.what}: {due.rows} rows from before {due.before:%Y-%m-%d %H:%M}Z {verb}")
        if not arguments.dry_run:
            await retention.step()
    finally:
        db.close()
    return 0
