"""``sextant keys``: made, rotated, listed and revoked, before and beside a running server."""

import argparse
import asyncio
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from app.core.errors import SettingsError

if TYPE_CHECKING:
    from app.store.keys import ApiKey

NEVER = "-"
READING = frozenset({"incidents:read", "incidents:write", "admin"})  # what opens the console


class WrongUsage(Exception):  # noqa: N818 - a word of the field
    """Raised when the command line itself is wrong; the exit code is 2."""


def register(add: Callable[..., Any]) -> None:
    """Add the command and its actions."""
    parser = add("keys", _keys, "Make, rotate, list and revoke API keys.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS)
    create = actions.add_parser("create", parents=[common], help="make a key; printed once")
    create.add_argument("--tenant", required=True, help="a tenant's id, several by commas, or *")
    create.add_argument("--scopes", required=True, help="comma-separated")
    create.add_argument("--name", required=True, help="who it is for")
    create.add_argument("--expires-days", type=_days)
    create.add_argument("--voices", type=int, metavar="N", help="most reporters it speaks for")
    create.add_argument("--networks", default="", help="from where it may be used, by commas")
    create.add_argument("--locations", default="", help="whose probe results it may bring")
    actions.add_parser("list", parents=[common], help="list keys, never their secrets")
    rotate = actions.add_parser("rotate", parents=[common], help="make the key that follows one")
    rotate.add_argument("key", metavar="KEY_ID")
    rotate.add_argument("--overlap-hours", type=int, default=24, help="both are valid so long")
    revoke = actions.add_parser("revoke", parents=[common], help="revoke a key at once")
    revoke.add_argument("key", metavar="KEY_ID")


def _days(text: str) -> int:
    """Read a whole number of days, at least one."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _keys(arguments: argparse.Namespace) -> int:
    return asyncio.run(_do(arguments))


async def _do(arguments: argparse.Namespace) -> int:
    from app.bootstrap import make_clock, open_database  # noqa: PLC0415 - slow to import
    from app.flow import keys as use_cases  # noqa: PLC0415 - the same
    from app.flow.acts import OPERATOR, Act  # noqa: PLC0415 - the same
    from app.main import read_settings  # noqa: PLC0415 - the same

    settings = read_settings(arguments.config)
    db = open_database(settings, may_migrate=False)
    now = make_clock(settings.clock).now()

    def act(action: str) -> Act:
        return Act(tenant="*", actor=OPERATOR, action=action, now=now, request_id=None)

    try:
        match arguments.action:
            case "create":
                wanted = _wanted(arguments, {tenant.id for tenant in settings.tenants})
                made = await use_cases.create(db, **wanted, now=now, act=act("create_key"))
                _say_bound(made.key, settings.limits.key_voices)
                where = f" It opens {settings.server.public_url}/login."
                told = where if READING & made.key.scopes else ""
                print(f"Key {made.key.id} for {arguments.tenant}.{told} It is shown only now:")
                print(made.secret)
            case "rotate":
                overlap = timedelta(hours=max(arguments.overlap_hours, 0))
                made = await use_cases.rotate(
                    db, tenant=None, key_id=arguments.key, now=now, overlap=overlap,
                    act=act("rotate_key"),
                )  # fmt: skip
                print(f"Key {made.key.id} follows {arguments.key}; it is shown only now:")
                print(made.secret)
            case "revoke":
                await use_cases.revoke(
                    db, tenant=None, key_id=arguments.key, now=now, act=act("revoke_key")
                )
                print(f"Revoked {arguments.key}.")
            case _:
                await _list(db, now)
    finally:
        db.close()
    return 0


def _say_bound(key: "ApiKey", voices: int) -> None:
    """Say on stderr that reports by this key open nothing alone, which a collector's should."""
    from app.flow.vouch import bound_of  # noqa: PLC0415 - slow to import

    bound = bound_of(key, voices=voices)
    brings = key.scopes & {"reports:write", "intake:write"}
    if bound is not None and bound.voices and brings and key.bounds.voices is None:
        print(
            f"This key speaks for {bound.voices} reporters at most, so it opens no incident alone; "
            "a collector, which speaks for many, is made with --voices 0.",
            file=sys.stderr,
        )


def _wanted(arguments: argparse.Namespace, known: set[str]) -> dict[str, Any]:
    named = {part.strip() for part in arguments.tenant.split(",")}
    unknown = named - known if arguments.tenant != "*" else set()
    if unknown:
        raise SettingsError(f"There is no tenant {min(unknown)} in the settings.")
    from app.flow.keys import SCOPES  # noqa: PLC0415 - slow to import
    from app.store.keys import Bounds  # noqa: PLC0415 - the same

    scopes = _parts(arguments.scopes)
    if not scopes or set(scopes) - set(SCOPES):
        raise WrongUsage(f"--scopes takes {', '.join(SCOPES)}, by commas.")
    days = arguments.expires_days
    return {
        "tenant": arguments.tenant,
        "name": arguments.name,
        "scopes": scopes,
        "expires_in": None if days is None else timedelta(days=days),
        "bounds": Bounds(
            voices=arguments.voices,
            networks=_parts(arguments.networks),
            locations=_parts(arguments.locations),
        ),
    }


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


async def _list(db: Any, now: datetime) -> None:
    from app.store import keys  # noqa: PLC0415 - slow to import

    for key in await db.read(lambda c: keys.page(c, None, after=None, limit=1000)):
        state = "valid" if key.is_valid(now) else "not valid"
        scopes = ",".join(sorted(key.scopes))
        whose = ",".join(key.grants) or key.tenant
        used = NEVER if key.last_used_at is None else f"{key.last_used_at:%Y-%m-%d}"
        where = ",".join(key.bounds.networks) or "anywhere"
        print(
            f"{key.id}  {whose}  …{key.last_four}  {state}  {scopes}  {key.name}  "
            f"used {used}  from {where}"
        )
