"""Messages for people, written from an incident by sandboxed templates in files."""

from app.formats.messages.words import SHIPPED
from app.formats.messages.writer import Writer

__all__ = ["SHIPPED", "Writer"]
