"""Messages: what people would be told of an incident now, and letting one of them out."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from app.core.announce import Audience, NoticePhase
from app.core.errors import InvalidInput
from app.core.evidence import for_outsiders
from app.core.incident import Incident
from app.core.message import Reader, Written, phase_of, was_told
from app.core.ports import MessageWriter
from app.core.types import TenantId
from app.store import advisories, evidence
from app.store.engine import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which message; None takes the first language of the settings and the phase of the moment."""

    audience: Audience
    language: str | None = None
    phase: NoticePhase | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of an incident beside itself: evidence, and what the vendor promised."""

    evidence: dict[str, Any]
    next_update_at: datetime | None


class Messages:
    """Writes messages about stored incidents."""

    def __init__(
        self, db: Database, writer: MessageWriter, reader_of: Callable[[TenantId], Reader]
    ) -> None:
        self._db = db
        self._reader_of = reader_of
        self.writer = writer

    async def preview(
        self, incident: Incident, wanted: Wanted, *, outside: bool = False
    ) -> Written:
        """Write the message that people would get now; nothing is sent or stored.

        Args:
            incident: as the caller may see it.
            wanted: which message.
            outside: the caller is outside the tenant and sees no samples of single people.

        Raises:
            InvalidInput: there is no such language.
        """
        language = self.language_of(wanted)
        known = await self._db.read(lambda c: known_of(c, incident))
        told = was_told(incident, wanted.audience)
        return self.writer.write(
            incident,
            self._reader_of(incident.tenant),
            audience=wanted.audience,
            language=language,
            phase=wanted.phase or phase_of(incident, told=told),
            evidence=for_outsiders(known.evidence) if outside else known.evidence,
            next_update_at=known.next_update_at,
        )

    def language_of(self, wanted: Wanted) -> str:
        """The language that is meant.

        Raises:
            InvalidInput: there is no such language.
        """
        known = self.writer.languages
        if wanted.language is not None and wanted.language not in known:
            detail = f"No such language; there are {', '.join(known)}."
            raise InvalidInput(detail, errors=[{"pointer": "/language", "detail": detail}])
        return wanted.language or known[0]


def known_of(c: Connection, incident: Incident) -> Known:
    """Read it; the earliest promise of an advisory that is open."""
    body = evidence.get(c, incident.tenant, incident.id)
    linked = advisories.by_ids(c, incident.tenant, {a.id for a in incident.advisories})
    promised = [
        stored.advisory.understood.next_update_at
        for stored in linked.values()
        if stored.advisory.understood.next_update_at is not None and not stored.advisory.is_resolved
    ]
    return Known(
        evidence={} if body is None else msgspec.json.decode(body),
        next_update_at=min(promised, default=None),
    )
