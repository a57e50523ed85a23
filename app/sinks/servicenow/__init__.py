"""ServiceNow as a mirror; what dials is made late, because a start must not wait for it."""

from app.sinks.servicenow.settings import MirrorSettings

__all__ = ["MirrorSettings"]
