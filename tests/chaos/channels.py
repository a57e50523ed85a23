"""Channels and a mirror survive SIGKILL: each incident is told once, whenever the process dies.

``python -m tests.chaos.channels --kills 5`` runs ``sextant serve`` before the stand-ins of Slack,
PagerDuty, Jira, Teams, ServiceNow and a mail relay, opens incidents by its API, kills it again and
again while it tells, resolves them, and counts what people see in the end. Where the other side has
a key or lets us look, nothing may be there twice; a card of Teams may, once for each kill at most.
A ticket has one picture, or none where the process died over it.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import random
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from app.kit.clock import SystemClock
from tests.chaos.process import free_port
from tests.sinks.benches import certificates
from tests.standins.channels.jira import Jira
from tests.standins.channels.mail import Relay, relaying
from tests.standins.channels.pagerduty import PagerDuty
from tests.standins.channels.slack import Slack
from tests.standins.channels.teams import Workflow
from tests.standins.channels.trouble import serving
from tests.standins.servicenow import Instance, User
from tests.standins.servicenow.instance import Record
from tests.standins.servicenow.serve import serving as serving_desk

PATIENCE = 1500.0  # seconds: a lost creation in Jira is looked for 130 s, a lease lasts 240 s
STARTS = 300.0  # seconds, on a machine that does much else
CHANNELS = 6  # with the mirror
PROGRAM = str(Path(sys.executable).parent / "sextant")


class Run:
    """One run: the stand-ins, the server, and what was opened."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.draw = random.Random(seed)
        self.port = free_port()
        self.slack, self.pagerduty, self.jira = Slack(), PagerDuty(), Jira()
        self.teams, self.relay = Workflow(), Relay()
        self.desk = Instance(now=SystemClock().now)
        self.desk.add_user(User(name="sextant", password="servicenow-right"))
        self.server: asyncio.subprocess.Process | None = None
        self.incidents: list[str] = []

    def settings(self, roots: dict[str, str]) -> str:
        """The settings file, as an operator would write it."""
        tables: dict[str, dict[str, Any]] = {
            "slack": {"token": self.slack.token, "channel": self.slack.channel,
                      "base_url": f"{roots['slack']}/api"},
            "pagerduty": {"routing_key": self.pagerduty.routing_key,
                          "base_url": f"{roots['pagerduty']}/v2"},
            "teams": {"url": self.teams.address(roots["teams"])},
            "smtp": {"host": "localhost", "port": self.relay.port,
                     "username": self.relay.username, "password": self.relay.password,
                     "sender": "sextant@contoso.example", "recipients": ["it@contoso.example"],
                     "ca_file": str(certificates().ca_file)},
            "jira.issues": {"base_url": roots["jira"], "email": self.jira.email,
                            "api_token": self.jira.api_token, "project": "OPS"},
        }  # fmt: skip
        text = (
            f'allow_inline_secrets = true\n[database]\nurl = "sqlite:///{self.folder}/x.db"\n'
            '[[tenants]]\nid = "contoso"\n'
        )
        text += (
            f'[[tenants.mirrors]]\nname = "snow"\nbase_url = "{roots["snow"]}"\n'
            'credential = { basic = { username = "sextant", password = "servicenow-right" } }\n'
            "debounce_seconds = 0\npoll_seconds = 2\nhourly_create_budget = 1000\n"
        )
        for name, table in tables.items():
            kind = name.partition(".")[0]
            text += f'[[tenants.channels]]\nname = "{kind}"\nkind = "{kind}"\ndepends_on = []\n'
            text += f"[tenants.channels.{name}]\n"
            text += "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
        return text

    async def start(self, client: httpx.AsyncClient) -> None:
        """Start the server and wait until it is ready."""
        with (self.folder / "log").open("ab") as log:
            self.server = await asyncio.create_subprocess_exec(
                PROGRAM, "serve", "--config", str(self.folder / "s.toml"), "--port",
                str(self.port), stderr=log, stdout=log,
            )  # fmt: skip
        async with asyncio.timeout(STARTS):
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get("/readyz")).status_code == 200:
                        return
                await asyncio.sleep(0.1)

    async def end(self, how: signal.Signals) -> None:
        """End the server."""
        assert self.server is not None
        self.server.send_signal(how)
        await self.server.wait()

    async def key(self) -> str:
        """Make a key."""
        made = await asyncio.create_subprocess_exec(
            PROGRAM, "keys", "create", "--tenant", "contoso", "--scopes", "admin", "--name", "x",
            "--config", str(self.folder / "s.toml"), stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        return (await made.communicate())[0].decode().split()[-1]

    async def play(self, client: httpx.AsyncClient, kills: int) -> None:
        """Open, kill, open on, resolve, and wait until everything was told."""
        await self.start(client)
        client.headers["authorization"] = f"Bearer {await self.key()}"
        for life in range(kills + 1):
            for number in range(4):
                body = {"title": f"No {life}.{number}", "services": ["viva"], "severity": "major"}
                answer = await client.post("/v1/incidents", json=body)
                self.incidents.append(answer.raise_for_status().json()["id"])
            if life < kills:
                await asyncio.sleep(self.draw.uniform(0.05, 2.0))
                await self.end(signal.SIGKILL)
                await self.start(client)
        await self.until(client, {"first", "resolved", "New"})
        for one in self.incidents:
            body = {"resolution": "vendor_fix"}
            (await client.post(f"/v1/incidents/{one}/resolve", json=body)).raise_for_status()
        await self.until(client, {"resolved", "Resolved"})
        await self.end(signal.SIGTERM)

    async def until(self, client: httpx.AsyncClient, phases: set[str]) -> None:
        """Wait until every incident was told in one of these phases on every channel."""
        async with asyncio.timeout(PATIENCE):
            while not await self.is_told(client, phases):  # noqa: ASYNC110 - another process
                await asyncio.sleep(1)

    async def is_told(self, client: httpx.AsyncClient, phases: set[str]) -> bool:
        """Whether every channel was told of every incident in one of these phases last."""
        found = (await client.get("/v1/links", params={"limit": 500})).json()["items"]
        told = sum(one["remote_state"] in phases for one in found)
        return told == CHANNELS * len(self.incidents)

    def tickets(self) -> list[Record]:
        """What stands in ServiceNow."""
        return self.desk.incidents(correlation_display="Sextant")

    def verdict(self, kills: int) -> tuple[Counter[str], list[str]]:
        """What people see, and what is wrong with it."""
        wanted = len(self.incidents)
        seen = Counter({
            "slack": len(self.slack.of_channel()),
            "pagerduty": len(self.pagerduty.alerts),
            "jira": len(self.jira.issues),
            "mail threads": sum("In-Reply-To" not in m for m in self.relay.mailbox),
            "teams": len(self.teams.cards),
            "tickets": len(self.tickets()),
        })  # fmt: skip
        wrong = [f"{n}: {c} of {wanted}" for n, c in seen.items() if n != "teams" and c != wanted]
        if not 2 * wanted <= seen["teams"] <= 2 * wanted + kills:
            wrong.append(f"teams: {seen['teams']} of {2 * wanted}")
        wrong += [f"open at PagerDuty: {a['dedup_key']}" for a in self.pagerduty.alerts
                  if a["status"] != "resolved"]  # fmt: skip
        wrong += [f"open in Jira: {i.key}" for i in self.jira.issues if i.status != "Resolved"]
        wrong += [f"open in ServiceNow: {t['number']}" for t in self.tickets()
                  if t["state"] != "6"]  # fmt: skip
        shown = Counter(f["table_sys_id"] for f in self.desk.tables["sys_attachment"].values())
        shown |= Counter({i.key: len(i.attachments) for i in self.jira.issues})
        wrong += [f"{n} pictures of {what}" for what, n in shown.items() if n > 1]
        seen["pictures of tickets"] = len(self.desk.tables["sys_attachment"])
        seen["pictures of issues"] = sum(len(i.attachments) for i in self.jira.issues)
        seen["pictures in threads"] = len(self.slack.shown())
        log = (self.folder / "log").read_text()
        secrets = (self.slack.token, self.pagerduty.routing_key, self.jira.api_token,
                   self.teams.sig, self.relay.password, "servicenow-right")  # fmt: skip
        wrong += ["a secret stands in the log" for secret in secrets if secret in log]
        return seen, wrong


async def run(kills: int, seed: int) -> int:
    """Make one run and tell its outcome; gives the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        made = Run(Path(folder), seed)
        async with contextlib.AsyncExitStack() as stack:
            doors = {"slack": made.slack, "pagerduty": made.pagerduty, "jira": made.jira,
                     "teams": made.teams}  # fmt: skip
            roots = {n: await stack.enter_async_context(serving(d)) for n, d in doors.items()}
            roots["snow"] = await stack.enter_async_context(serving_desk(made.desk))
            await stack.enter_async_context(relaying(made.relay, certificates().server_context()))
            (Path(folder) / "s.toml").write_text(made.settings(roots))
            base = f"http://127.0.0.1:{made.port}"
            client = httpx.AsyncClient(base_url=base, timeout=30, trust_env=False)
            await stack.enter_async_context(client)
            await made.play(client, kills)
        seen, wrong = made.verdict(kills)
    print(f"{len(made.incidents)} incidents, {kills} kills, seed {seed}: {dict(seen)}")
    print("\n".join(wrong) or "each told once on every channel, and one ticket each")
    return 1 if wrong else 0


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description="Kill Sextant while it tells channels.")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    logging.getLogger("mail").setLevel(logging.ERROR)  # the relay's library on its own future
    return asyncio.run(run(given.kills, given.seed))


if __name__ == "__main__":
    sys.exit(main())
