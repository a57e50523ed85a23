"""A start with very many deliveries waiting: when is the first request taken, the first one sent.

Method. The database is made with so many deliveries planned, for fifty subscriptions of one
receiver, all due. Then ``sextant serve`` starts on it; one client posts a report again and again
until it is acknowledged, and the receiver notes the first webhook. Seconds since the process began.
``python -m bench.restart 1000000`` prints the figures.
"""

import asyncio
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from app.kit.vault import Vault
from app.store import instance, migrate
from app.store.engine import Database
from bench.deliver import TENANT, emit, prepare
from bench.rig import Wire, create_key, start_sextant, write_settings
from bench.wire import Receiver

RECEIVERS = 50
STEP = 200  # events of one transaction
PATIENCE_SECONDS = 60.0


def fill(folder: Path, url: str, count: int) -> None:
    """Make the database with so many deliveries waiting."""
    database = Database(f"sqlite:///{folder}/bench.db")
    migrate.upgrade(database)
    prepare(database, [url] * RECEIVERS, Vault(instance.secret(database, "instance")))
    for first in range(1, count // RECEIVERS + 1, STEP):
        emit(database, first, min(STEP, count // RECEIVERS + 1 - first))
    database.close()


async def _measure(count: int) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    sent: asyncio.Future[float] = loop.create_future()

    def took(at: float, _: dict[str, Any]) -> None:
        if not sent.done():
            sent.set_result(at)

    receiver = Receiver(took)
    url = await receiver.listen()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = write_settings(folder, [str(TENANT)])
        await asyncio.to_thread(fill, folder, url, count)
        key = await asyncio.to_thread(create_key, settings, str(TENANT))
        server = start_sextant(settings)
        try:
            acked = await asyncio.to_thread(_first_ack, server.port, key, server.begun)
            delivered = await asyncio.wait_for(sent, PATIENCE_SECONDS) - server.begun
            cpu = server.cpu()
        finally:
            await asyncio.to_thread(server.stop)
    receiver.close()
    return {"queued": count, "first_ack": acked, "first_delivery": delivered, "cpu": cpu}


def _first_ack(port: int, key: str, begun: float) -> float:
    body = {"service": "exchange-online", "symptom": "timeout", "reporter": "bench"}
    while time.perf_counter() - begun < PATIENCE_SECONDS:
        with contextlib.suppress(OSError):
            if Wire(port, key).call("POST", "/v1/client-reports", body)[0] == 202:
                return time.perf_counter() - begun
        time.sleep(0.02)
    raise RuntimeError("nothing was acknowledged")


def measure(count: int) -> dict[str, dict[str, float]]:
    """Measure a start with nothing and with so many deliveries waiting."""
    return {"few": asyncio.run(_measure(RECEIVERS)), "many": asyncio.run(_measure(count))}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000), indent=1))
