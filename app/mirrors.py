"""Mirrors: the loops that keep an ITSM in step, wired from the settings of one mirror."""

import asyncio
from datetime import timedelta
from typing import Protocol

from app.core.ports import IncidentPictures
from app.core.types import Status, TenantId, severity_of
from app.flow.fold import Fold
from app.flow.terms import Terms, Tools
from app.kit.clock import Clock
from app.settings import Settings
from app.sinks.servicenow import MirrorSettings
from app.store.engine import Database
from app.workers import Spared, paced_loop


class Rooms(Protocol):
    """What the loops work with; the application's context is one."""

    db: Database
    clock: Clock
    settings: Settings
    fold: Fold
    portraits: IncidentPictures


def terms_of(owner: TenantId, settings: MirrorSettings, speed: float) -> Terms:
    """What the settings say of one mirror, in words of the flow."""
    return Terms(
        tenant=owner,
        min_severity=severity_of(settings.min_severity),
        min_status=Status(settings.min_status),
        debounce=timedelta(seconds=settings.debounce_seconds),
        poll=timedelta(seconds=settings.poll_seconds),
        budget=settings.hourly_create_budget,
        children=settings.children_max if settings.children == "services" else 0,
        new_generation=settings.after_human_close == "new_generation",
        prefix=settings.correlation_prefix,
        speed=speed,
    )


async def mirror_loop(
    rooms: Rooms, owner: TenantId, settings: MirrorSettings, stop: asyncio.Event
) -> None:
    """Keep the tickets of one mirror in step until told to stop."""
    from app.flow.mirror import MirrorLoop  # noqa: PLC0415 - most installations have no mirror
    from app.sinks.servicenow.dial import open_mirror  # noqa: PLC0415 - the same

    speed = rooms.settings.clock.speed
    public_url = rooms.settings.server.public_url
    mirror = open_mirror(settings, rooms.clock.now)
    try:
        loop = MirrorLoop(
            Tools(
                db=rooms.db,
                clock=rooms.clock,
                mirror=mirror,
                terms=terms_of(owner, settings, speed),
                obey=rooms.fold.command,
                announce=rooms.fold.news,
                url_of=lambda incident: f"{public_url}/incidents/{incident}",
                pictures=Spared(rooms.portraits) if settings.pictures else None,
            )
        )
        await paced_loop(f"mirror:{settings.name}", loop, stop, speed=speed)
    finally:
        await mirror.aclose()


async def event_loop(
    rooms: Rooms, owner: TenantId, settings: MirrorSettings, stop: asyncio.Event
) -> None:
    """Feed an Event Management until told to stop."""
    from app.flow.alarms import AlarmLoop  # noqa: PLC0415 - most installations have none
    from app.sinks.servicenow.dial import open_events  # noqa: PLC0415 - the same

    speed = rooms.settings.clock.speed
    door = open_events(settings, rooms.clock.now)
    terms = terms_of(owner, settings, speed)
    root = rooms.settings.server.public_url
    try:
        loop = AlarmLoop(rooms.db, rooms.clock, door, terms, root, announce=rooms.fold.news)
        await paced_loop(f"events:{settings.name}", loop, stop, speed=speed)
    finally:
        await door.aclose()
