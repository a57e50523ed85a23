"""Channels: the loops that tell people of incidents, wired from the settings of one channel."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Protocol

from app.core.announce import ChannelFacts, all_of, plain_message
from app.core.ports import Channel
from app.core.types import Status, TenantId, severity_of
from app.flow.announce import ChannelTerms, ChannelTools
from app.flow.terms import Terms
from app.kit.clock import Clock
from app.settings import Settings
from app.settings.channels import ChannelSettings
from app.sinks.slack import open_slack
from app.store.engine import Database
from app.workers import paced_loop

PREFIX = "sextant"
OPENERS: Mapping[str, Callable[[str, Any], Channel]] = {"slack": open_slack}


class Rooms(Protocol):
    """What the loops work with; the application's context is one."""

    db: Database
    clock: Clock
    settings: Settings


def open_channel(settings: ChannelSettings) -> Channel:
    """Make a channel; nothing is sent.

    Raises:
        OSError: a file that its settings name cannot be read.
    """
    return OPENERS[settings.kind](settings.name, settings.of_kind)


def terms_of(
    owner: TenantId, settings: ChannelSettings, plan: tuple[ChannelFacts, ...], speed: float
) -> ChannelTerms:
    """What the settings say of one channel, in words of the flow."""
    return ChannelTerms(
        terms=Terms(
            tenant=owner,
            min_severity=severity_of(settings.min_severity),
            min_status=Status(settings.min_status),
            debounce=timedelta(seconds=settings.debounce_seconds),
            budget=settings.hourly_budget,
            prefix=PREFIX,
            speed=speed,
        ),
        facts=settings.facts,
        plan=plan,
        services=frozenset(settings.services),
        updates=settings.told_of,
        gap=timedelta(seconds=settings.gap_seconds),
    )


async def channel_loop(
    rooms: Rooms, owner: TenantId, settings: ChannelSettings, stop: asyncio.Event
) -> None:
    """Tell one channel of incidents until told to stop."""
    from app.flow.channel import ChannelLoop  # noqa: PLC0415 - many installations have none

    speed = rooms.settings.clock.speed
    public_url = rooms.settings.server.public_url
    plan = next(
        (tuple(c.facts for c in t.channels) for t in rooms.settings.tenants if t.id == owner), ()
    )
    channel = open_channel(settings)
    try:
        loop = ChannelLoop(
            ChannelTools(
                db=rooms.db,
                clock=rooms.clock,
                channel=channel,
                terms=terms_of(owner, settings, plan, speed),
                say=plain_message,
                choose=all_of,
                url_of=lambda incident: f"{public_url}/incidents/{incident}",
            )
        )
        await paced_loop(f"channel:{settings.name}", loop, stop, speed=speed)
    finally:
        await channel.aclose()
