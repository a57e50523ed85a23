"""The story of the demo as documents: an Exchange outage as it stood at any moment of it."""

from tests.web.story.board import office_fault, services, sources
from tests.web.story.seen import events, evidence
from tests.web.story.told import DAY, EX, INCIDENT, PHASES, POSTS, advisory, at, incident, iso, past

__all__ = [
    "DAY", "EX", "INCIDENT", "PHASES", "POSTS", "advisory", "at", "events", "evidence", "incident",
    "iso", "office_fault", "past", "services", "sources",
]  # fmt: skip
