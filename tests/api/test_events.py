"""The feed and its stream give the same events in the same order."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import delete

from app.api.v1 import events as feed
from app.core.events import EventType
from app.core.types import EventId, TenantId
from app.formats.native_v1 import Renderer
from app.store import events
from tests.api.conftest import OTHER, URL, Context, make_key
from tests.builders import TENANT, an_event

RENDER = Renderer(public_url=URL)


def emit(world: Context, *sequences: int, tenant: TenantId = TENANT) -> None:
    """Put events into the log, as the fold does."""
    made = [
        an_event(
            id=EventId(f"evt_{tenant}_{number}"),
            tenant=tenant,
            sequence=number,
            type=EventType.UPDATED if number > 1 else EventType.OPENED,
        )
        for number in sequences
    ]
    rendered = [(event, RENDER(event)) for event in made]
    world.db.write_now(lambda c: events.append(c, rendered))
    world.bells.feed.ring()


def sequences(page: dict[str, Any]) -> list[int]:
    return [item["sequence"] for item in page["items"]]


async def test_the_feed_goes_on_where_it_stopped(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str]
) -> None:
    empty = (await client.get("/v1/events", headers=admin)).json()
    assert empty["items"] == []
    emit(world, 1, 2, 3)
    first = (await client.get("/v1/events?limit=2", headers=admin)).json()
    assert sequences(first) == [1, 2]
    rest = (await client.get(f"/v1/events?after={first['next']}", headers=admin)).json()
    assert sequences(rest) == [3]
    done = (await client.get(f"/v1/events?after={rest['next']}", headers=admin)).json()
    assert done["items"] == []
    emit(world, 4)
    for cursor in (rest["next"], done["next"]):
        found = (await client.get(f"/v1/events?after={cursor}", headers=admin)).json()
        assert sequences(found) == [4]
    from_the_empty = (await client.get(f"/v1/events?after={empty['next']}", headers=admin)).json()
    assert sequences(from_the_empty) == [1, 2, 3, 4]


async def test_the_feed_gives_the_stored_bytes(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str]
) -> None:
    emit(world, 1)
    (stored,) = world.db.read_now(lambda c: events.after(c, TENANT, 0, 10))
    answer = await client.get("/v1/events", headers=admin)
    assert stored.body in answer.content


async def test_a_cursor_older_than_what_is_kept_is_gone(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str]
) -> None:
    emit(world, 1, 2, 3, 4)
    old = (await client.get("/v1/events?limit=1", headers=admin)).json()["next"]
    world.db.write_now(lambda c: c.execute(delete(events.T).where(events.T.c.sequence < 3)))
    gone = await client.get(f"/v1/events?after={old}", headers=admin)
    assert gone.status_code == 410
    assert gone.json()["type"].endswith("/problems/cursor-expired")
    fresh = (await client.get("/v1/events", headers=admin)).json()
    assert sequences(fresh) == [3, 4]


async def test_a_cursor_of_another_tenant_or_list_is_refused(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str]
) -> None:
    emit(world, 1)
    cursor = (await client.get("/v1/events", headers=admin)).json()["next"]
    theirs = await make_key(world, "admin", tenant=OTHER)
    for path, key in (("/v1/events?after", theirs), ("/v1/incidents?cursor", admin)):
        assert (await client.get(f"{path}={cursor}", headers=key)).status_code == 400


async def test_an_operator_reads_every_tenant_each_in_its_order(
    client: httpx.AsyncClient, world: Context
) -> None:
    operator = await make_key(world, "admin", tenant="*")
    emit(world, 1, 2, 3)
    emit(world, 1, 2, tenant=OTHER)
    seen: dict[str, list[int]] = {}
    after = ""
    for _ in range(4):
        page = (await client.get(f"/v1/events?limit=2{after}", headers=operator)).json()
        for item in page["items"]:
            seen.setdefault(item["tenant"], []).append(item["sequence"])
        after = f"&after={page['next']}"
    assert seen == {TENANT: [1, 2, 3], OTHER: [1, 2]}


class Following:
    """A client of the stream that reads frame by frame."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self.status = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.text = b""

    async def send(self, message: Any) -> None:
        await self.gate.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        self.text += message.get("body", b"")
        *whole, self.text = self.text.split(b"\n\n")
        for frame in whole:
            lines = (line.partition(": ") for line in frame.decode().split("\n"))
            await self.frames.put({key or "comment": value for key, _, value in lines})

    async def events(self, count: int) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        async with asyncio.timeout(10):
            while len(found) < count:
                frame = await self.frames.get()
                if "event" in frame:
                    found.append(frame)
        return found


Follow = Callable[..., Any]


@pytest.fixture
def follow(api: FastAPI) -> Follow:
    @asynccontextmanager
    async def following(
        headers: dict[str, str], query: str = "", *, waits: bool = True
    ) -> AsyncIterator[Following]:
        client = Following()
        gone = asyncio.Event()
        asked = False

        async def receive() -> Any:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/v1/events/stream",
            "raw_path": b"/v1/events/stream",
            "query_string": query.encode(),
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
            "server": ("sextant.example", 80),
        }
        task = asyncio.create_task(api(scope, receive, client.send))
        yield client
        if waits:
            gone.set()
        async with asyncio.timeout(5):
            await task

    return following


async def test_the_stream_starts_now_and_goes_on_by_id(
    world: Context, admin: dict[str, str], follow: Follow
) -> None:
    emit(world, 1, 2)
    async with follow(admin) as client:
        assert (await client.frames.get())["retry"] == "3000"
        emit(world, 3, 4)
        third, fourth = await client.events(2)
        assert third["event"] == "incident.updated"
        assert [json.loads(f["data"])["sequence"] for f in (third, fourth)] == [3, 4]
    async with follow({**admin, "last-event-id": third["id"]}) as client:
        (again,) = await client.events(1)
        assert again == fourth
    async with follow(admin, f"after={third['id']}") as client:
        (again,) = await client.events(1)
        assert again["data"] == fourth["data"]


async def test_cut_anywhere_the_stream_has_no_gap_and_no_repetition(
    world: Context, admin: dict[str, str], follow: Follow
) -> None:
    emit(world, *range(1, 41))
    async with follow(admin) as client:
        await client.frames.get()
    got: list[int] = []
    headers = {**admin, "last-event-id": ""}
    query = f"after={(await _oldest(world, admin, follow))}"
    for cut in (1, 7, 2, 13, 5, 12):
        async with follow(headers, query) as client:
            frames = (await client.events(cut))[:cut]
        got += [json.loads(frame["data"])["sequence"] for frame in frames]
        query = f"after={frames[-1]['id']}"
    assert got == list(range(1, 41))


async def _oldest(world: Context, admin: dict[str, str], follow: Follow) -> str:
    from app.api.paging import Pager  # noqa: PLC0415

    return Pager(world.secret, "events", tenant=TENANT).write({TENANT: 0})


async def test_a_stream_older_than_what_is_kept_says_reset(
    world: Context, admin: dict[str, str], follow: Follow
) -> None:
    emit(world, 1, 2, 3)
    old = await _oldest(world, admin, follow)
    world.db.write_now(lambda c: c.execute(delete(events.T).where(events.T.c.sequence < 3)))
    async with follow({**admin, "last-event-id": old}) as client:
        reset, third = await client.events(2)
        assert reset["event"] == "reset"
        assert json.loads(third["data"])["sequence"] == 3


async def test_a_quiet_stream_is_kept_alive(
    admin: dict[str, str], follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(feed, "QUIET_SECONDS", 0.02)
    async with follow(admin) as client, asyncio.timeout(5):
        while "comment" not in await client.frames.get():
            pass


async def test_a_client_that_takes_nothing_is_let_go(
    world: Context, admin: dict[str, str], follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "SEND_SECONDS", 0.05)
    async with follow(admin) as client:
        await client.frames.get()
        client.gate.clear()
        emit(world, 1)
        await asyncio.sleep(0.3)
        client.gate.set()
        (last,) = await client.events(1)
        assert last["event"] == "lagged"


async def test_a_stream_ends_when_the_server_stops(
    api: FastAPI, admin: dict[str, str], follow: Follow
) -> None:
    api.state.stopping.set()
    async with follow(admin, waits=False) as client:
        assert (await client.frames.get())["retry"] == "3000"


async def test_a_stream_needs_a_key_and_a_cursor_of_ours(
    client: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    assert (await client.get("/v1/events/stream")).status_code == 401
    refused = await client.get("/v1/events/stream?after=x", headers=admin)
    assert refused.status_code == 400
