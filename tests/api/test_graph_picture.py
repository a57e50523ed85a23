"""What the API says of Graph: lanes, what cannot be read, and unknown wherever it never spoke."""

from datetime import timedelta

import httpx

from app.flow.leases import Leases
from app.flow.marks import Lane, Marks
from app.kit.clock import SystemClock
from app.store import sources
from tests.api.conftest import Context
from tests.api.test_picture import line, read_graph
from tests.builders import NOW, TENANT, minutes

HOT, RECONCILE = timedelta(seconds=60), timedelta(seconds=900)


async def test_lanes_and_unreadable_records_are_shown(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str]
) -> None:
    marks = Marks(
        lanes={"open": Lane(NOW, HOT), "all": Lane(NOW - minutes(50), RECONCILE)},
        unreadable={"EX2": "EX2 is malformed"},
    )
    world.db.write_now(
        lambda c: sources.record_complete(
            c,
            TENANT,
            "graph",
            kind="graph",
            name="Graph",
            interval=HOT,
            now=NOW,
            checkpoint=marks.document(),
            unreadable=1,
        )
    )
    (graph, *_) = (await client.get("/v1/sources", headers=admin)).json()["items"]
    assert graph["unreadable"] == 1
    assert graph["unreadable_items"] == [{"id": "EX2", "reason": "EX2 is malformed"}]
    assert [(lane["name"], lane["interval_seconds"], lane["stale"]) for lane in graph["lanes"]] == [
        ("all", 900.0, True),
        ("open", 60.0, False),
    ]


async def test_the_replica_that_reads_a_source_is_named(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str]
) -> None:
    read_graph(world)
    (graph, *others) = (await client.get("/v1/sources", headers=admin)).json()["items"]
    assert [graph["lease"], *(other["lease"] for other in others)] == [None] * (1 + len(others))
    leases = Leases(world.db, SystemClock())
    await leases.tend([f"graph:{TENANT}"])
    (graph, *_) = (await client.get("/v1/sources", headers=admin)).json()["items"]
    assert (graph["lease"]["replica"], graph["lease"]["alive"]) == (leases.me, True)


async def test_a_source_that_only_ever_failed_makes_nothing_green(
    client: httpx.AsyncClient, world: Context, admin: dict[str, str]
) -> None:
    read_graph(world, failed=True)
    mail = await line(client, admin, "exchange-online")
    assert mail["condition"] == "unknown"
    assert mail["sources"]["advisory"] == {"condition": "unknown", "as_of": None}
