"""Logs: one JSON object per line, and nothing secret in it."""

import io
import json
import logging

import pytest

from app.kit.logs import JsonLines, configure


def line(record: logging.LogRecord) -> dict[str, object]:
    text = JsonLines().format(record)
    assert "\n" not in text
    found: dict[str, object] = json.loads(text)
    return found


def a_record(message: str = "delivered", **extra: object) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": message, "name": "app.x", "levelname": "INFO", **extra})


def test_a_line_has_its_action_and_its_fields() -> None:
    found = line(a_record(status=200, subscription="sub_1", ok=True, none=None))
    assert found["action"] == "delivered"
    assert found["level"] == "info"
    assert found["logger"] == "app.x"
    assert (found["status"], found["subscription"]) == (200, "sub_1")
    assert (found["ok"], found["none"]) == (True, None)
    assert str(found["at"]).endswith("+00:00")


@pytest.mark.parametrize("name", ["secret", "access_token", "Authorization", "db_password"])
def test_a_secret_is_hidden_wherever_it_hides(name: str) -> None:
    found = json.dumps(line(a_record(**{name: "hunter2"}, nested={name: "hunter2"})))
    assert "hunter2" not in found


def test_a_long_value_is_cut_and_a_line_break_stays_in_its_line() -> None:
    found = line(a_record(text="x" * 9000, items=["a\nb", {1, 2}]))
    assert len(str(found["text"])) == 2000
    assert found["items"] == ["a\nb", ["1", "2"]] or found["items"] == ["a\nb", [1, 2]]


def test_an_exception_is_told_without_its_text() -> None:
    try:
        int("hunter2")
    except ValueError as error:
        record = a_record("failed", exc_info=(type(error), error, error.__traceback__))
    found = line(record)
    assert found["error"] == "builtins.ValueError"
    assert "test_logs.py" in str(found["frames"])
    assert "hunter2" not in json.dumps(found)


def test_all_loggers_write_to_the_one_stream() -> None:
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    stream = io.StringIO()
    try:
        configure(level="info", stream=stream)
        logging.getLogger("app.some").info("started", extra={"port": 8000})
        logging.getLogger("uvicorn.access").info("GET /?secret=1")
        logging.getLogger("httpx").info("HTTP Request: GET https://example/?token=1")
    finally:
        root.handlers[:] = kept
        root.setLevel(level)
    (only,) = stream.getvalue().splitlines()
    assert json.loads(only)["port"] == 8000
