"""Many tenants of one process, each polled at Graph: ``python -m bench.graph [--tenants N]``.

Method. The real server with all its loops and a file database watches so many tenants, each with
its own directory and token, at a stand-in in this process: TLS, sign-in, 200 resolved and 6 open
issues, each page encoded once. First contact is spread over a minute and settles for another; then,
for the window, every read of the open list is timed where it arrives. Memory and processor are
those of the server; a server with one tenant is the base from which the cost of one is reckoned.
"""

import argparse
import asyncio
import copy
import json
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import uvicorn

from bench.rig import HOST, ROOT, Process, free_port, start_sextant
from tests.standins.__main__ import Server
from tests.standins.ca import Certificates, create

HOT = 60.0
RESOLVED, OPEN = 200, 6
FIXTURES = ROOT / "tests" / "fixtures" / "graph"


def issues() -> list[dict[str, Any]]:
    """As many issues as a live tenant shows, out of the recorded ones."""
    recorded = json.loads((FIXTURES / "issues_in_v1_shape.json").read_text("utf-8"))
    made = []
    for number in range(RESOLVED + OPEN):
        issue = copy.deepcopy(recorded[number % len(recorded)]) | {"id": f"EX{1000000 + number}"}
        if number < OPEN:
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            issue |= {"isResolved": False, "status": "serviceDegradation", "endDateTime": None}
            issue["lastModifiedDateTime"] = now
        made.append(issue)
    return made


class Cloud:
    """Entra and Graph for any number of tenants; notes when each read the open list."""

    def __init__(self) -> None:
        every = issues()
        self._open = json.dumps({"value": every[:OPEN]}).encode()
        self._all = json.dumps({"value": every}).encode()
        self._names = json.dumps({"value": []}).encode()
        self.read_at: dict[str, list[float]] = defaultdict(list)
        self.asked_at: dict[str, float] = {}  # for issues, open or all
        self.requests = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        path = scope["path"]
        self.requests += 1
        if path.endswith("openid-configuration"):
            body = self._discovery(scope, path.split("/")[1])
        elif path.endswith("/token"):
            while (await receive()).get("more_body"):
                pass
            token = {"token_type": "Bearer", "expires_in": 3599, "access_token": path.split("/")[1]}
            body = json.dumps(token).encode()
        elif path.endswith("healthOverviews"):
            body = self._names
        else:
            body = self._listed(scope)
        head = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    def _listed(self, scope: Any) -> bytes:
        bearer = next(v for k, v in scope["headers"] if k == b"authorization")
        tenant = bearer.decode().removeprefix("Bearer ")
        self.asked_at[tenant] = time.monotonic()
        if "$filter" not in parse_qs(scope["query_string"].decode()):
            return self._all
        self.read_at[tenant].append(time.monotonic())
        return self._open

    def _discovery(self, scope: Any, tenant: str) -> bytes:
        host = next(v for k, v in scope["headers"] if k == b"host").decode()
        root = f"https://{host}/{tenant}"
        return json.dumps(
            {
                "token_endpoint": f"{root}/oauth2/v2.0/token",
                "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
                "issuer": f"{root}/v2.0",
            }
        ).encode()


@asynccontextmanager
async def serving(cloud: Cloud, files: Certificates) -> AsyncIterator[int]:
    """Serve the cloud over TLS; the port."""
    port = free_port()
    config = uvicorn.Config(
        cloud, host=HOST, port=port, log_level="critical", lifespan="off", access_log=False,
        ssl_certfile=str(files.cert_file), ssl_keyfile=str(files.key_file),
    )  # fmt: skip
    server = Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells by a flag alone
        await asyncio.sleep(0.01)
    yield port
    server.should_exit = server.force_exit = True
    await task


def settings(folder: Path, port: int, tenants: int, ca_file: Path) -> Path:
    """Write the settings of a server that watches so many tenants."""
    root = f"https://{HOST}:{port}"
    tables = [
        f'[[tenants]]\nid = "t{number}"\n[tenants.graph]\ntenant_id = "d{number}"\n'
        f'client_id = "app"\ncredential = {{ secret = "s" }}\nauthority = "{root}"\n'
        f'base_url = "{root}"\nca_file = "{ca_file}"\n'
        for number in range(tenants)
    ]
    file = folder / "sextant.toml"
    head = f'allow_inline_secrets = true\n[database]\nurl = "sqlite:///{folder}/bench.db"\n'
    file.write_text(head + "".join(tables), "utf-8")
    return file


async def watch(tenants: int, *, settle: float, window: float) -> dict[str, Any]:
    """Watch so many tenants for a while; what it cost and how punctual it was."""
    with tempfile.TemporaryDirectory() as place:
        folder, cloud = Path(place), Cloud()
        files = create(folder / "ca")
        async with serving(cloud, files) as port:
            process = start_sextant(settings(folder, port, tenants, files.ca_file))
            try:
                await asyncio.to_thread(process.ready)
                return await _measured(process, cloud, settle=settle, window=window)
            finally:
                await asyncio.to_thread(process.stop)


async def _measured(
    process: Process, cloud: Cloud, *, settle: float, window: float
) -> dict[str, Any]:
    await asyncio.sleep(settle)
    cloud.read_at.clear()
    before, sent, begun = process.cpu(), cloud.requests, time.monotonic()
    await asyncio.sleep(window)
    spent = time.monotonic() - begun
    gaps = [
        later - earlier for at in cloud.read_at.values() for earlier, later in pairwise(sorted(at))
    ]
    within = [abs(gap - HOT) <= HOT / 10 for gap in gaps]
    return {
        "tenants_heard": len(cloud.read_at),
        "gaps": len(gaps),
        "within_10_percent": round(sum(within) / len(within), 4) if within else None,
        "median_gap_seconds": round(statistics.median(gaps), 2) if gaps else None,
        "shortest_gap_seconds": round(min(gaps), 2) if gaps else None,
        "worst_gap_seconds": round(max(gaps), 2) if gaps else None,
        "load_of_the_machine": round(os.getloadavg()[0], 1),
        "requests_per_second": round((cloud.requests - sent) / spent, 2),
        "cpu_share_of_one_core": round((process.cpu() - before) / spent, 3),
        "rss_mib": round(process.rss(), 1),
    }


def measure(tenants: int = 500, *, settle: float = 130.0, window: float = 190.0) -> dict[str, Any]:
    """Measure one tenant and many; the cost of a tenant is the difference."""
    one = asyncio.run(watch(1, settle=min(settle, 15.0), window=10.0))
    many = asyncio.run(watch(tenants, settle=settle, window=window))
    each = (many["rss_mib"] - one["rss_mib"]) / max(tenants - 1, 1)
    base = {"tenants": tenants, "base_rss_mib": one["rss_mib"]}
    return {**base, "rss_per_tenant_mib": round(each, 3), **many}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.graph", description=__doc__)
    parser.add_argument("--tenants", type=int, default=500)
    parser.add_argument("--settle", type=float, default=130.0)
    parser.add_argument("--window", type=float, default=190.0)
    asked = parser.parse_args()
    found = measure(asked.tenants, settle=asked.settle, window=asked.window)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
