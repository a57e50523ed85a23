"""Reading for the pages: from the store to the documents that the view models take.

How sources, checks and services stand is read by the same ``Pictures`` as ``/v1/services`` and
``/v1/sources`` are, so that the console and the API cannot disagree; it comes with the application.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection

from app.core.announce import ChannelFacts
from app.core.board import ServiceStanding, Sighting, Standing, board
from app.core.catalogue import SERVICES
from app.core.document import incident_document, rfc3339
from app.core.evidence import LEAST_SHOWN
from app.core.incident import Incident
from app.core.policy import Policy
from app.core.ports import IncidentPictures
from app.core.signal import Command
from app.core.state import Track
from app.core.types import Condition, Severity, SourceState, Status, TenantId
from app.flow.acts import Act
from app.flow.foreign import ForeignIntake
from app.flow.links import Links
from app.flow.messages import Messages
from app.flow.refolds import Refolds
from app.flow.subscriptions import Subscriptions
from app.flow.tokens import Tokens
from app.flow.vouch import PublicQuota
from app.kit.clock import Clock
from app.store import incidents, refolds, states, unmapped
from app.store.engine import Database
from app.store.sources import SourceRecord
from app.web.filters import Filters
from app.web.live import BellsLike
from app.web.pages.incidents import PAGE

Document = dict[str, Any]

RECENT = 5  # ended incidents on the board
UNKNOWN = 10  # codes that nobody knows, on the page of the sources
ENDED = (Status.RESOLVED, Status.CLOSED, Status.DISMISSED, Status.MERGED)


class ChannelLike(Protocol):
    """One channel of the settings."""

    @property
    def facts(self) -> ChannelFacts:
        """What choosing and wording know of it."""


class TenantLike(Protocol):
    """One tenant of the settings."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def name(self) -> str:
        """Its display name, or nothing."""

    @property
    def channels(self) -> Sequence[ChannelLike]:
        """Its channels."""


class SettingsLike(Protocol):
    """The settings, as far as the console reads them."""

    @property
    def tenants(self) -> Sequence[TenantLike]:
        """All tenants."""


class CommandFold(Protocol):
    """The fold, as far as the console uses it."""

    async def command(
        self,
        tenant: TenantId,
        command: Command,
        *,
        expected_revision: int | None = None,
        act: Act | None = None,
    ) -> Incident:
        """Store and fold one command and give the incident after it."""


class DoorsLike(Protocol):
    """The doors, as far as the form uses them."""

    @property
    def foreign(self) -> ForeignIntake:
        """Takes in what the form says."""

    @property
    def quota(self) -> PublicQuota:
        """How much may come in by public keys."""

    @property
    def policy(self) -> Policy:
        """The policy of the engine."""


class Context(Protocol):
    """The application context, kept at ``request.app.state.context``."""

    @property
    def db(self) -> Database:
        """The database."""

    @property
    def clock(self) -> Clock:
        """The clock of the story."""

    @property
    def settings(self) -> SettingsLike:
        """The settings."""

    @property
    def fold(self) -> CommandFold:
        """The fold."""

    @property
    def tokens(self) -> Tokens:
        """Verifies access tokens, and knows the providers at which people sign in."""

    @property
    def subscriptions(self) -> Subscriptions:
        """The use cases of subscriptions."""

    @property
    def links(self) -> Links:
        """The links of all mirrors."""

    @property
    def messages(self) -> Messages:
        """Writes what people would be told."""

    @property
    def bells(self) -> BellsLike:
        """Says when something was folded."""

    @property
    def portraits(self) -> IncidentPictures:
        """Draws incidents as files."""

    @property
    def public_url(self) -> str:
        """Where this installation is reached, without a trailing slash."""

    @property
    def secret(self) -> bytes:
        """The instance's secret."""

    @property
    def doors(self) -> DoorsLike:
        """What takes in what the form says."""

    @property
    def refolds(self) -> Refolds:
        """Asks for replays."""

    @property
    def open_console(self) -> bool:
        """Whether the console asks for no key: the server listens on loopback only."""


class SourceLike(Protocol):
    """How one source stands."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def kind(self) -> str:
        """Its kind, as ``GET /sources`` names it."""

    @property
    def name(self) -> str:
        """Its display name."""

    @property
    def state(self) -> SourceState:
        """How well it can be read."""

    @property
    def last_complete_at(self) -> datetime | None:
        """When it was last read completely."""

    @property
    def record(self) -> SourceRecord | None:
        """What is kept of it; a door that others push to has none."""


class NewestLike(Protocol):
    """The newest result of a check of our own."""

    @property
    def latency_ms(self) -> float | None:
        """How long it took."""

    @property
    def usual_ms(self) -> float | None:
        """How long it usually takes at that hour."""

    @property
    def error(self) -> str | None:
        """What went wrong."""


class ProbeLike(Protocol):
    """How one check stands at one location."""

    @property
    def newest(self) -> NewestLike | None:
        """The newest result of a check that we run ourselves."""

    @property
    def track(self) -> Track:
        """The check with its minutes."""

    @property
    def condition(self) -> Condition:
        """What it says now."""

    @property
    def last_at(self) -> datetime | None:
        """When its newest result is from."""

    @property
    def stale(self) -> bool:
        """Whether no result came when one was due."""

    @property
    def failing_since(self) -> datetime | None:
        """Since when it fails without a break, or None."""


class PictureLike(Protocol):
    """Everything that is known of a tenant now."""

    @property
    def sources(self) -> Sequence[SourceLike]:
        """Its sources."""

    @property
    def probes(self) -> Sequence[ProbeLike]:
        """Its checks."""

    @property
    def incidents(self) -> Sequence[Incident]:
        """Its living incidents."""

    def sightings(self) -> list[Sighting]:
        """What is said of services now."""

    def standings(self) -> list[Standing]:
        """How well each source that should speak is read."""


class Pictures(Protocol):
    """Reads pictures; kept at ``request.app.state.pictures``."""

    async def read(self, tenant: TenantId) -> PictureLike:
        """Read the picture of a tenant."""


def list_incidents(
    c: Connection, tenant: str, filters: Filters, after: str | None, public_url: str
) -> tuple[list[Document], str | None]:
    """A page of incidents, and the id after which older ones follow."""
    owner = TenantId(tenant)
    before = incidents.get(c, owner, after) if after else None
    found = incidents.page(
        c,
        owner,
        incidents.Filters(
            statuses=(Status(filters.status),) if filters.status else (),
            services=(filters.service,) if filters.service else (),
            severity=Severity[filters.severity.upper()] if filters.severity else None,
            q=filters.q or None,
        ),
        (before.opened_at, before.id) if before else None,
        PAGE + 1,
    )
    shown = [incident_document(incident, public_url=public_url) for incident in found[:PAGE]]
    return shown, found[PAGE - 1].id if len(found) > PAGE else None


def recent_incidents(c: Connection, tenant: str, public_url: str) -> list[Document]:
    """The incidents that ended lately, newest end first."""
    found = incidents.page(c, TenantId(tenant), incidents.Filters(statuses=ENDED), None, RECENT * 2)
    ended = sorted(found, key=_ended_at, reverse=True)[:RECENT]
    return [incident_document(incident, public_url=public_url) for incident in ended]


def _ended_at(incident: Incident) -> datetime:
    return incident.resolved_at or incident.closed_at or incident.updated_at


def tenants_at_a_glance(c: Connection, choices: Sequence[tuple[str, str]]) -> list[Document]:
    """How many incidents of each tenant are open, and the severity of the worst."""
    glance = []
    for tenant, name in choices:
        found = [i for i in incidents.living(c, TenantId(tenant)) if i.status not in ENDED]
        worst = max((i.severity for i in found), default=None)
        glance.append(
            {
                "id": tenant,
                "name": name,
                "open": len(found),
                "severity": worst.word if worst else "",
            }
        )
    return sorted(glance, key=lambda one: (-one["open"], one["name"]))


def change_mark(c: Connection, tenant: str, replay: str = "") -> tuple[object, ...]:
    """A value that differs once anything was folded for the tenant, or a replay has come on."""
    checkpoint = states.checkpoint(c, TenantId(tenant))
    followed = refolds.get(c, TenantId(tenant), replay) if replay else None
    standing = (followed.state, followed.progress) if followed else ()
    return (checkpoint.revision, checkpoint.sequence, *standing)


def board_documents(picture: PictureLike, public_url: str) -> dict[str, list[Document]]:
    """Services, sources and open incidents of a picture, as keyword arguments of the board."""
    standings = board(
        {service.slug: service.name for service in SERVICES},
        incidents=picture.incidents,
        sightings=picture.sightings(),
        standings=picture.standings(),
    )
    return {
        "services": [_service(standing) for standing in standings],
        "sources": source_documents(picture),
        "incidents": [
            incident_document(incident, public_url=public_url)
            for incident in picture.incidents
            if incident.status not in ENDED
        ],
    }


def _service(standing: ServiceStanding) -> Document:
    return {
        "service": standing.service,
        "name": standing.name,
        "condition": standing.condition.value,
        "incidents": list(standing.incidents),
        "sources": {
            kind.value: {"condition": told.condition.value, "as_of": rfc3339(told.as_of)}
            for kind, told in standing.sources.items()
        },
    }


def source_documents(picture: PictureLike) -> list[Document]:
    """The sources of a picture."""
    return [_source(source) for source in picture.sources]


def _source(source: SourceLike) -> Document:
    record = source.record
    error = record.last_error if record else None
    return {
        "id": source.id,
        "kind": source.kind,
        "name": source.name,
        "state": source.state.value,
        "last_complete_at": rfc3339(source.last_complete_at),
        "last_error": {"text": error.text, "remedy": error.remedy} if error else None,
        "unreadable": record.unreadable if record else 0,
        "budget": dict(record.budget) if record and record.budget else None,
    }


def unmapped_codes(c: Connection, tenant: str, *, outside: bool = False) -> list[Document]:
    """The codes of reports that nobody knows, those met most often first.

    ``outside``: whoever looks is not of the tenant, and sees none that fewer than five met.
    """
    least = LEAST_SHOWN if outside else 1
    return [
        {
            "code": one.code,
            "service": one.service,
            "client": one.client,
            "count": one.count,
            "last_at": rfc3339(one.last_at),
            "sample": one.sample,
        }
        for _, one in unmapped.top(c, [TenantId(tenant)], UNKNOWN, least=least)
    ]
