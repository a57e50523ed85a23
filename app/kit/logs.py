"""Structured logs: one JSON object per line, with the ``extra`` fields and nothing secret."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import IO, Any

# What every LogRecord has; all else on a record came through ``extra``.
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}
SECRET_WORDS = ("secret", "token", "password", "authorization", "cookie", "api_key", "signature")
LONGEST_VALUE = 2000  # characters of one field
HIDDEN = "[hidden]"


class JsonLines(logging.Formatter):
    """Writes a record as one JSON object: ``at, level, logger, action`` and the extra fields.

    An exception is told by its class and its frames. Its text is left out, because texts of
    libraries quote what they were given.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        return json.dumps(fields_of(record), ensure_ascii=False, default=str)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What a line tells: ``at, level, logger, action``, the extra fields, and an error's class."""
    line: dict[str, Any] = {
        "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "action": record.getMessage(),
    }
    for key, value in vars(record).items():
        if key not in STANDARD and not key.startswith("_"):
            line[key] = HIDDEN if _is_secret(key) else _plain(value)
    if record.exc_info and record.exc_info[1] is not None:
        line["error"] = _class_name(record.exc_info[1])
        line["frames"] = _frames(record.exc_info[1])
    return line


def configure(*, level: str = "INFO", stream: IO[str] | None = None) -> None:
    """Send all logs of this process to one stream (stderr) as JSON lines."""
    sink = logging.StreamHandler(stream or sys.stderr)
    sink.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [sink]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # Its lines quote paths with their query strings; the edge logs and counts requests itself.
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    # A connection that ended is told by whoever needed it; the pool would call it an error.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    for name in ("httpx", "httpcore", "msal", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _is_secret(key: str) -> bool:
    return any(word in key.lower() for word in SECRET_WORDS)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {
            str(key): HIDDEN if _is_secret(str(key)) else _plain(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value)[:LONGEST_VALUE]


def _class_name(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _frames(error: BaseException) -> list[str]:
    return [
        f"{frame.filename}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
