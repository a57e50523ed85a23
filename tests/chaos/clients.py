"""Clients that never give up: reporters, probes and persons, each with a history of its acts."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.chaos.history import Asked, Door, History, Phase

SERVICES = ("exchange-online", "microsoft-teams", "sharepoint-online", "entra-id", "onedrive")
NETWORKS = ("berlin-office", "munich-office", "vpn", "home")
PROGRAMS = ("outlook_desktop", "outlook_web", "teams_desktop", "browser")
SYMPTOMS = ("http_5xx", "timeout", "connection_failed")
LOCATIONS = ("berlin", "munich", "cloud")
WAVE_SECONDS = 2.0  # how long one service is in trouble before the next one is
BACKOFF_SECONDS = 0.03
TIMEOUT_SECONDS = 8.0
STORY_BEGIN, STORY_END = "2026-03-16T06:00:00Z", "2027-01-01T00:00:00Z"
TRANSIENT = frozenset({429, 500, 502, 503, 504})


@dataclass(slots=True, kw_only=True)
class Stage:
    """What all clients of a run share.

    ``acked`` is told of each acknowledgement. ``listening`` is set while somebody listens at the
    port, so that clients need not try all the time: that would cost the process its start.
    ``subscribed`` has each tenant's receivers, as path and id; ``learn`` gives one a new secret.
    """

    base_urls: tuple[str, ...]
    history: History
    keys: dict[str, str]
    acked: Callable[[], None]
    listening: asyncio.Event
    learn: Callable[[str, str], None] = lambda path, secret: None
    subscribed: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    stopping: bool = False
    in_flight: int = 0


class Client:
    """One client of one tenant: one request at a time, repeated unchanged until it is answered."""

    def __init__(self, stage: Stage, name: str, tenant: str, *, seed: str) -> None:
        self.stage = stage
        self.name = name
        self.tenant = tenant
        self.chance = random.Random(seed)
        self.sent = 0
        self.base = self.chance.randrange(len(stage.base_urls))
        self.http = httpx.AsyncClient(
            headers={"authorization": f"Bearer {stage.keys[tenant]}"},
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )

    def mark(self, index: int) -> str:
        """Name a signal, such that its origin can be told from what is stored."""
        return f"{self.name}.{self.sent}.{index}"

    def wave(self) -> str:
        """The service in trouble now; all clients of a tenant agree on it."""
        turn = int(asyncio.get_running_loop().time() / WAVE_SECONDS)
        return SERVICES[(turn + len(self.tenant)) % len(SERVICES)]

    async def ask(
        self,
        path: str,
        body: Any,
        *,
        door: Door,
        marks: tuple[str, ...],
        headers: dict[str, str] | None = None,
        insist: bool = True,
    ) -> httpx.Response | None:
        """Post until answered; None where the outcome is unknown and we do not insist."""
        number, self.sent = self.sent, self.sent + 1
        about: dict[str, Any] = {"door": door, "tenant": self.tenant, "marks": marks}
        history = self.stage.history
        while True:
            history.note(self.name, number, Phase.INVOKE, **about)
            answer = await self._post(path, body, headers)
            if answer is None or answer.status_code in TRANSIENT:
                status = None if answer is None else answer.status_code
                history.note(self.name, number, Phase.INFO, status=status, **about)
                if not insist:
                    return None
                await asyncio.sleep(BACKOFF_SECONDS * self.chance.uniform(0.5, 1.5))
                continue
            if not answer.is_success:
                history.note(self.name, number, Phase.FAIL, status=answer.status_code, **about)
                return answer
            receipt = answer.json() if door is not Door.COMMANDS else {}
            if receipt.get("rejected"):
                self.stage.refusals.append(f"{self.name}: {receipt['rejected'][:2]}")
            history.note(
                self.name, number, Phase.OK, status=answer.status_code,
                accepted=receipt.get("accepted", 0), duplicates=receipt.get("duplicates", 0),
                **about,
            )  # fmt: skip
            self.stage.acked()
            return answer

    async def _post(
        self, path: str, body: Any, headers: dict[str, str] | None
    ) -> httpx.Response | None:
        await self.stage.listening.wait()
        self.stage.in_flight += 1
        try:
            base = self.stage.base_urls[self.base]
            return await self.http.post(base + path, json=body, headers=headers)
        except httpx.TransportError:
            self.base = (self.base + 1) % len(self.stage.base_urls)  # another replica may live
            return None
        finally:
            self.stage.in_flight -= 1

    async def run(self) -> None:
        """Act until told to stop; then end with the request that is under way."""
        async with self.http:
            while not self.stage.stopping:
                await self.act()

    async def act(self) -> None:
        """Do one thing."""
        raise NotImplementedError


class Reporter(Client):
    """Posts batches of client reports; some repeat ids that were acknowledged before."""

    async def act(self) -> None:
        marks = tuple(self.mark(index) for index in range(self.chance.randint(1, 50)))
        service = self.wave()
        batch = [self._report(mark, service) for mark in marks]
        answer = await self.ask("/v1/client-reports", batch, door=Door.REPORTS, marks=marks)
        if answer is not None and not answer.is_success:
            self.stage.refusals.append(f"{self.name}: {answer.status_code} {answer.text[:200]}")
        if self.chance.random() < 0.1:  # the same again: it must count for nothing
            await self.ask("/v1/client-reports", batch, door=Door.REPORTS, marks=marks)
        await asyncio.sleep(self.chance.uniform(0.005, 0.04))

    def _report(self, mark: str, service: str) -> dict[str, Any]:
        chance = self.chance
        return {
            "id": mark,
            "service": service if chance.random() < 0.95 else chance.choice(SERVICES),
            "client": chance.choice(PROGRAMS),
            "code": mark,
            "symptom": chance.choice(SYMPTOMS),
            "reporter": f"user{chance.randrange(400)}",
            "region": chance.choice(("de", "fr")),
            "network": chance.choice(NETWORKS),
            "count": chance.choice((1, 1, 1, 2, 5)),
        }


class Prober(Client):
    """Posts results of checks: failing where the wave is, well everywhere else."""

    async def act(self) -> None:
        pairs = [(s, place) for s in SERVICES for place in LOCATIONS]
        marks = tuple(self.mark(index) for index in range(len(pairs)))
        service = self.wave()
        batch = [
            {
                "id": mark,
                "probe": f"check-{watched}",
                "service": watched,
                "location": place,
                "outcome": "failed" if watched == service else "ok",
                "symptom": "http_5xx" if watched == service else None,
                "error": mark,
            }
            for mark, (watched, place) in zip(marks, pairs, strict=True)
        ]
        answer = await self.ask("/v1/probe-results", batch, door=Door.RESULTS, marks=marks)
        if answer is not None and not answer.is_success:
            self.stage.refusals.append(f"{self.name}: {answer.status_code} {answer.text[:200]}")
        await asyncio.sleep(self.chance.uniform(0.1, 0.3))


class Person(Client):
    """Opens an incident by hand and works on it; with idempotency keys, or without insisting."""

    def __init__(self, stage: Stage, name: str, tenant: str, *, seed: str, careful: bool) -> None:
        super().__init__(stage, name, tenant, seed=seed)
        self.careful = careful

    async def act(self) -> None:
        service = self.chance.choice(SERVICES)
        opened = await self._command(
            "/v1/incidents",
            lambda mark: {"title": mark, "services": [service], "severity": "minor"},
        )
        if opened is None or opened.status_code != 201:
            await asyncio.sleep(BACKOFF_SECONDS)
            return
        path = f"/v1/incidents/{opened.json()['id']}"
        await self._command(f"{path}/acknowledge", lambda mark: {"note": mark})
        for _ in range(self.chance.randint(0, 2)):
            await self._command(f"{path}/notes", lambda mark: {"text": mark})
        await self._command(
            f"{path}/resolve", lambda mark: {"resolution": "self_restored", "text": mark}
        )
        await asyncio.sleep(self.chance.uniform(0.02, 0.2))

    async def _command(
        self, path: str, body: Callable[[str], dict[str, Any]]
    ) -> httpx.Response | None:
        mark = self.mark(0)
        answer = await self.ask(
            path,
            body(mark),
            door=Door.COMMANDS,
            marks=(mark,),
            headers={"idempotency-key": mark} if self.careful else None,
            insist=self.careful,
        )
        if answer is not None and answer.status_code not in {200, 201, 409}:
            self.stage.refusals.append(f"{self.name}: {answer.status_code} {answer.text[:200]}")
        await asyncio.sleep(self.chance.uniform(0.005, 0.03))
        return answer


class Operator(Client):
    """Rotates the secrets of its tenant's receivers, and has what they were sent sent again."""

    def __init__(self, stage: Stage, name: str, tenant: str, *, seed: str) -> None:
        super().__init__(stage, name, tenant, seed=seed)
        self.since: dict[str, str] = {}  # where the last replay of a subscription ended

    async def act(self) -> None:
        """Do the one or the other, for one receiver."""
        path, identity = self.chance.choice(self.stage.subscribed[self.tenant])
        if self.chance.random() < 0.5:
            await self._rotate(path, identity)
        else:
            await self._replay(identity)
        await asyncio.sleep(self.chance.uniform(0.5, 2.0))

    async def _rotate(self, path: str, identity: str) -> None:
        answer = await self._settings(f"/v1/subscriptions/{identity}/rotate-secret", {})
        if answer is not None:
            # Until it is told, the receiver has older secrets only: what the overlap is for.
            await asyncio.sleep(self.chance.uniform(0, 1.0))
            self.stage.learn(path, answer["secret"])

    async def _replay(self, identity: str) -> None:
        select = self.chance.choice(("all", "all", "all", "missing"))
        last = self.since.get(identity, STORY_BEGIN)
        since = self.chance.choice((STORY_BEGIN, last))  # everything so far, or what is new
        window = {"since": since, "until": STORY_END, "select": select}
        answer = await self._settings(f"/v1/subscriptions/{identity}/replays", window)
        if answer is not None:
            self.since[identity] = answer["until"]
            asked = Asked(replay=answer["id"], subscription=identity, select=select)
            self.stage.history.asked.append(asked)

    async def _settings(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        key = {"idempotency-key": self.mark(0)}
        answer = await self.ask(path, body, door=Door.SETTINGS, marks=(), headers=key)
        if answer is None or not answer.is_success:
            said = "nothing" if answer is None else f"{answer.status_code} {answer.text[:200]}"
            self.stage.refusals.append(f"{self.name}: {said}")
            return None
        told: dict[str, Any] = answer.json()
        return told
