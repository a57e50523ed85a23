"""The command about channels: show that one works, from here, as the server would."""

import argparse
import asyncio
from collections.abc import Callable

from app.core.errors import SettingsError

Command = Callable[[argparse.Namespace], int]
Add = Callable[[str, Command, str], argparse.ArgumentParser]


def register(add: Add) -> None:
    """Add the command to the command line."""
    channel = add("channel", _channel, "Try a channel: send one message that says it is a test.")
    channel.add_argument("action", choices=["test"])
    channel.add_argument("name")


def _channel(arguments: argparse.Namespace) -> int:
    from app.bootstrap import make_clock  # noqa: PLC0415 - slow to import
    from app.channels import try_out  # noqa: PLC0415 - the same
    from app.main import read_settings  # noqa: PLC0415 - the same

    settings = read_settings(arguments.config)
    found = [
        (tenant, channel)
        for tenant in settings.tenants
        for channel in tenant.channels
        if channel.name == arguments.name
    ]
    if not found:
        names = sorted(c.name for t in settings.tenants for c in t.channels) or ["none"]
        raise SettingsError(f"There is no channel {arguments.name}; known: {', '.join(names)}.")
    ((tenant, channel),) = found
    now = make_clock(settings.clock).now()
    told = asyncio.run(try_out(tenant.id, channel, settings.server.public_url, now=now))
    facts = channel.facts
    needs = ", ".join(facts.depends_on) or "nothing of Microsoft's"
    print(f"{channel.name} ({channel.kind}, for {facts.audience}): {told.sentence}")
    print(f"  It depends on {needs}.")
    return 0 if told.well else 1
