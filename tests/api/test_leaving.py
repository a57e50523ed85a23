"""A client that leaves before its request has come whole is no fault of ours."""

import logging
from typing import Any

import pytest
from fastapi import FastAPI

PATHS = ["/v1/client-reports", "/v1/probe-results", "/v1/incidents", "/v1/incidents/inc_1/notes"]


@pytest.mark.parametrize("path", PATHS)
async def test_who_leaves_in_the_middle_of_a_body_makes_no_error(
    api: FastAPI, admin: dict[str, str], path: str, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[dict[str, Any]] = [
        {"type": "http.request", "body": b'{"title": "half', "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return told.pop(0) if len(told) > 1 else told[0]

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"host", b"sextant.example")]
    headers += [(b"idempotency-key", b"one")]
    headers += [(name.encode(), value.encode()) for name, value in admin.items()]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
        "root_path": "", "headers": headers, "client": ("127.0.0.1", 1), "server": ("x", 80),
    }  # fmt: skip
    with caplog.at_level(logging.INFO):
        await api(scope, receive, send)
    assert [m["status"] for m in sent if m["type"] == "http.response.start"] in ([], [400])
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert ("client_left" in [record.message for record in caplog.records]) is (sent == [])
