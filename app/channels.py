"""Channels: the loops that tell people of incidents, wired from the settings of one channel."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from pydantic import SecretStr

from app.core.announce import ChannelFacts, Notice, NoticePhase, plain_message
from app.core.errors import SettingsError
from app.core.incident import Incident
from app.core.ports import Channel, IncidentPictures, MirrorWord, Telling
from app.core.returned import Returns
from app.core.types import IncidentId, Origin, Severity, Status, TenantId, severity_of
from app.flow.announce import ChannelTerms, ChannelTools
from app.flow.fold import Fold
from app.flow.terms import Terms
from app.kit.clock import Clock
from app.settings import Settings
from app.settings.channels import ChannelSettings
from app.sinks.jira import open_jira
from app.sinks.jira_webhooks import JiraWebhooks
from app.sinks.pagerduty import open_pagerduty
from app.sinks.pagerduty_webhooks import PagerDutyWebhooks
from app.sinks.slack import open_slack
from app.sinks.smtp import open_smtp
from app.sinks.teams import open_teams
from app.sinks.webhook_channel import open_webhook
from app.store import links
from app.store.engine import Database
from app.words import choose_of, say_of
from app.workers import Spared, paced_loop

PREFIX = "sextant"
OPENERS: Mapping[str, Callable[[str, Any], Channel]] = {
    "slack": open_slack,
    "teams": open_teams,
    "smtp": open_smtp,
    "pagerduty": open_pagerduty,
    "jira": open_jira,
    "webhook": open_webhook,
}


class Rooms(Protocol):
    """What the loops work with; the application's context is one."""

    db: Database
    clock: Clock
    settings: Settings
    fold: Fold
    portraits: IncidentPictures


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
    if rooms.db.dialect == "sqlite":  # one process works: what is held, a former one held
        await rooms.db.write(lambda c: links.free(c, settings.name, now=rooms.clock.now()))
    try:
        loop = ChannelLoop(
            ChannelTools(
                db=rooms.db,
                clock=rooms.clock,
                channel=channel,
                terms=terms_of(owner, settings, plan, speed),
                say=say_of(rooms.settings, owner),
                choose=choose_of(rooms.settings),
                url_of=lambda incident: f"{public_url}/incidents/{incident}",
                announce=rooms.fold.news,
                pictures=Spared(rooms.portraits) if settings.pictures else None,
            )
        )
        await paced_loop(f"channel:{settings.name}", loop, stop, speed=speed)
    finally:
        await channel.aclose()


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a trial."""

    well: bool
    sentence: str


async def try_out(
    tenant: str, settings: ChannelSettings, public_url: str, *, now: datetime
) -> Tried:
    """Send one message that says it is a test; it is of no incident, and nothing is stored.

    Raises:
        SettingsError: a file that the settings name cannot be read.
    """
    incident = _an_example(TenantId(tenant), now)
    notice = Notice(
        incident=incident, phase=NoticePhase.FIRST, url=public_url, at=now, is_test=True
    )
    thread = f"{PREFIX}:test-{now:%Y%m%dT%H%M%S}"
    message = plain_message(notice, settings.facts)
    telling = Telling(
        key=f"{thread}/first/0", thread=thread, topic=message.subject, record="", notice=notice,
        message=message,
    )  # fmt: skip
    try:
        channel = open_channel(settings)
    except OSError as error:
        raise SettingsError(f"The channel {settings.name} cannot be made: {error}.") from error
    try:
        answer = await channel.try_out(telling)
    finally:
        await channel.aclose()
    said = " ".join(filter(None, (answer.why, answer.remedy)))
    if answer.word is MirrorWord.DONE:
        return Tried(well=True, sentence=f"well. {said}".strip())
    return Tried(well=False, sentence=f"{_TROUBLE[answer.word]}. {said}".strip())


_TROUBLE: Mapping[MirrorWord, str] = {
    MirrorWord.REFUSED: "FAILED, and would again",
    MirrorWord.UNREACHED: "FAILED, not reached",
    MirrorWord.UNKNOWN: "sent, and nobody knows whether it arrived",
    MirrorWord.ABSENT: "FAILED, what it should change is not there",
}


def _an_example(tenant: TenantId, now: datetime) -> Incident:
    return Incident(
        id=IncidentId("inc_test"),
        number="TEST",
        tenant=tenant,
        revision=1,
        key="test",
        title="Sextant tries this channel; nothing is broken",
        summary="This message was sent by `sextant channel test`. There is nothing to do.",
        status=Status.CONFIRMED,
        status_reason="test",
        severity=Severity.INFO,
        origin=Origin.UNKNOWN,
        services=(),
        opened_at=now,
        updated_at=now,
        onset_at=now,
    )


def returns_of(settings: Settings) -> dict[str, Returns]:
    """What reads the deliveries of each channel that people answer on."""
    channels = [channel for tenant in settings.tenants for channel in tenant.channels]
    readers: dict[str, Returns] = {}
    for channel in channels:
        pager, issues = channel.pagerduty, channel.jira.issues if channel.jira else None
        if pager is not None and pager.webhook_secrets:
            readers[channel.name] = PagerDutyWebhooks(_plain(pager.webhook_secrets))
        if issues is not None and issues.webhook_secrets:
            secrets = _plain(issues.webhook_secrets)
            readers[channel.name] = JiraWebhooks(secrets, issues.account_id)
    return readers


def _plain(secrets: Iterable[SecretStr]) -> list[str]:
    return [secret.get_secret_value() for secret in secrets]
