"""The command that exports a status page, once or again and again."""

import argparse
import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.core.errors import SettingsError, StorageUnavailable

log = logging.getLogger(__name__)


def register(add: Callable[..., Any]) -> None:
    """Add the command to the command line."""
    status = add("status", _status, "Export the status page as files that live anywhere.")
    status.add_argument("action", choices=["export"])
    status.add_argument("directory", metavar="DIR", type=Path)
    status.add_argument("--every", metavar="SECONDS", type=float, help="renew it so often")
    status.add_argument("--tenant", metavar="ID", help="whose page, where several have one")
    status.add_argument("--url", help="where it will be found (default from the settings)")


def _status(arguments: argparse.Namespace) -> int:
    from app.kit import logs  # noqa: PLC0415 - slow to import

    if arguments.every is not None and not 1 <= arguments.every <= 86_400:  # noqa: PLR2004
        raise SettingsError("--every takes 1 to 86400 seconds.")
    if arguments.every is not None:
        logs.configure()
    return asyncio.run(_export(arguments))


async def _export(arguments: argparse.Namespace) -> int:
    from app.api.picture import Pictures  # noqa: PLC0415 - slow to import
    from app.bootstrap import build, open_database  # noqa: PLC0415 - the same
    from app.kit.clock import SystemClock  # noqa: PLC0415 - the same
    from app.main import read_settings  # noqa: PLC0415 - the same
    from app.web.status.export import export  # noqa: PLC0415 - the same
    from app.web.status.reading import Sources, read_status  # noqa: PLC0415 - the same
    from app.web.status.site import Look, Site  # noqa: PLC0415 - the same

    settings = read_settings(arguments.config)
    tenant = _chosen(settings, arguments.tenant)
    address = (arguments.url or tenant.status.url or "").rstrip("/")
    db = open_database(settings, may_migrate=False)
    context = build(settings, db)
    sources = Sources(
        db=db,
        clock=context.clock,
        pictures=Pictures(context),
        folder=settings.messages.folder,
    )
    try:
        while True:
            try:
                views = await read_status(sources, tenant)
            except StorageUnavailable as error:
                # What lies there stays, and says its age by itself.
                if arguments.every is None:
                    raise
                log.warning("status_not_exported", extra={"error": str(error)})
            else:
                look = Look(
                    live=False,
                    root="",
                    address=address,
                    made_at=SystemClock().now(),
                    renewed_seconds=arguments.every,
                )
                site = Site(views=views, settings=tenant.status, look=look)
                done = await asyncio.to_thread(export, site, arguments.directory)
                if arguments.every is None:
                    print(f"{arguments.directory}: {done.files} files, {done.written} of them new "
                          f"or changed, {done.removed} gone.")  # fmt: skip
                    return 0
                log.info("status_exported", extra={"written": done.written})
            await asyncio.sleep(arguments.every)
    finally:
        await context.poster.aclose()
        db.close()


def _chosen(settings: Any, wanted: str | None) -> Any:
    """The tenant whose page is exported.

    Raises:
        SettingsError: none, or more than one, has a page.
    """
    from app.web.status.settings import pages_of  # noqa: PLC0415 - slow to import

    pages = pages_of(settings.tenants)
    found = [one for one in settings.tenants if one.id in pages and wanted in {None, one.id}]
    if not found:
        raise SettingsError(
            "No such tenant has a status page: set `access` in its [tenants.status]."
        )
    if len(found) > 1:
        names = ", ".join(tenant.id for tenant in found)
        raise SettingsError(f"Several tenants have a status page: choose with --tenant ({names}).")
    return found[0]
