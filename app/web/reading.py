"""Reading for the pages: from the store to the documents that the view models take."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection

from app.core.document import incident_document
from app.core.incident import Incident
from app.core.signal import Command
from app.core.types import Severity, Status, TenantId
from app.kit.clock import Clock
from app.store import events, evidence, incidents, states
from app.store.engine import Database
from app.web.pages.incidents import PAGE, Filters

Document = dict[str, Any]

RECENT = 5  # ended incidents on the board
EVENTS = 500  # most events of one incident on its page
ENDED = (Status.RESOLVED, Status.CLOSED, Status.DISMISSED, Status.MERGED)


class TenantLike(Protocol):
    """One tenant of the settings."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def name(self) -> str:
        """Its display name, or nothing."""


class SettingsLike(Protocol):
    """The settings, as far as the console reads them."""

    @property
    def tenants(self) -> Sequence[TenantLike]:
        """All tenants."""


class CommandFold(Protocol):
    """The fold, as far as the console uses it."""

    async def command(self, tenant: TenantId, command: Command) -> Incident:
        """Store and fold one command and give the incident after it."""


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
    def public_url(self) -> str:
        """Where this installation is reached, without a trailing slash."""

    @property
    def secret(self) -> bytes:
        """The instance's secret."""

    @property
    def open_console(self) -> bool:
        """Whether the console asks for no key: the server listens on loopback only."""


def parsed(body: bytes | str | None) -> Document:
    """Read a stored JSON document; nothing stored is an empty one."""
    document: Document = json.loads(body) if body else {}
    return document


def one_incident(
    c: Connection, tenant: str, incident_id: str, public_url: str
) -> dict[str, Any] | None:
    """Everything that the page of one incident shows, as keyword arguments; None if unknown."""
    owner = TenantId(tenant)
    incident = incidents.get(c, owner, incident_id)
    if incident is None:
        return None
    log = events.of_incident(c, owner, incident_id, 0, EVENTS)
    return {
        "incident": incident_document(incident, public_url=public_url),
        "evidence": parsed(evidence.get(c, owner, incident_id)),
        "events": [parsed(event.body) for event in log],
        "notes": [
            {"at": note.at, "by": note.by, "text": note.text, "visibility": note.visibility}
            for note in incident.notes
        ],
    }


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


def board_incidents(
    c: Connection, tenant: str, public_url: str
) -> tuple[list[Incident], list[Document], list[Document]]:
    """The living incidents, the open ones as documents, and those that ended lately."""
    owner = TenantId(tenant)
    living = list(incidents.living(c, owner))
    ended = incidents.page(c, owner, incidents.Filters(statuses=ENDED), None, RECENT * 2)
    ended = sorted(ended, key=_ended_at, reverse=True)[:RECENT]
    return (
        living,
        [
            incident_document(incident, public_url=public_url)
            for incident in living
            if incident.status not in ENDED
        ],
        [incident_document(incident, public_url=public_url) for incident in ended],
    )


def _ended_at(incident: Incident) -> datetime:
    return incident.resolved_at or incident.closed_at or incident.updated_at


def change_mark(c: Connection, tenant: str) -> tuple[int, ...]:
    """A value that differs once anything was folded for the tenant."""
    checkpoint = states.checkpoint(c, TenantId(tenant))
    return (checkpoint.revision, checkpoint.sequence)
