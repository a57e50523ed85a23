"""Seeded runs of the mirror against an instance that misbehaves, with people at both ends.

``python -m tests.chaos.mirror --runs 10000 --jobs 2 --ledger FILE`` prints what broke, with its
seed, and a summary; it goes on where the ledger ends.
"""

import argparse
import asyncio
import contextlib
import gc
import random
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from app.core.errors import AppError
from app.core.incident import Incident
from app.core.link import LinkState
from app.core.types import OPEN_STATUSES, TenantId
from app.flow.mirror import MirrorLoop
from app.store import links
from app.store.engine import Database
from tests.chaos import ledger
from tests.chaos.inline import Inline, Killed, Life, Mortal, number_ids
from tests.flow.mirroring import MirrorWorld, Painter
from tests.standins.servicenow import Fault, Kind
from tests.standins.servicenow.faults import Refused
from tests.standins.servicenow.instance import Audit

OURS = "sextant"
SHARE = 20  # runs that are written down together
DEATHS = 12  # points ahead, of which a doomed replica dies at one: about two steps of a link
RESTING = frozenset(
    {LinkState.IN_STEP, LinkState.AWAITING_HUMAN, LinkState.CONFLICT, LinkState.GONE,
     LinkState.ENDED}
)  # fmt: skip
MARK = re.compile(r"\[sextant evt:[\w.:#-]+\]")
TERMS = {"budget": 100, "poll": timedelta(seconds=240)}
REST = 1200.0  # seconds: longer than a failed link waits, and than five polls
GUARDED = ("impact", "urgency", "short_description", "description")
HUMAN_EDITS: tuple[dict[str, str], ...] = (
    {"state": "2"}, {"state": "3", "hold_reason": "4"}, {"state": "1"},
    {"state": "6", "close_code": "User error", "close_notes": "by hand"},
    {"state": "8"}, {"assigned_to": "a" * 32}, {"assigned_to": ""},
    {"impact": "3"}, {"urgency": "3"}, {"short_description": "better words"},
    {"description": "what we know"},
)  # fmt: skip
# A write that commits after its caller gave up may overtake a person; no client can help that.
ANYWHERE = (
    Kind.HIBERNATING, Kind.REDIRECT, Kind.ERROR, Kind.COMMIT_ERROR, Kind.RESET, Kind.COMMIT_RESET,
    Kind.THROTTLED, Kind.REVOKED, Kind.GATEWAY, Kind.MALFORMED, Kind.PARTIAL,
)  # fmt: skip


@dataclass(slots=True)
class Run:
    """One run: the world, and what went on in it."""

    seed: int
    world: MirrorWorld
    chance: random.Random
    incidents: list[Incident] = field(default_factory=list)
    replicas: list[MirrorLoop] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    human_notes: list[str] = field(default_factory=list)
    kills: int = 0

    async def play(self) -> list[str]:
        """Let things happen for some hours, then let it rest; gives what is wrong."""
        self.lives = [self.born(), self.born()]
        self.replicas = [self.replica(0), self.replica(1)]
        for _ in range(self.chance.randint(8, 20)):
            await self.something()
            await self.carry(self.chance.choice((1, 5, 30, 120, 400)))
        self.world.instance.faults.clear()
        for life in self.lives:
            life.left = None
        await self.rest()
        return [f"seed {self.seed}: {text}" for text in self.wrong()]

    def born(self) -> Life:
        return Life(self.chance)

    def replica(self, place: int) -> MirrorLoop:
        """A process starts: a loop, a client and a fold of its own, over the one database."""
        life = self.lives[place]
        loop = self.world.replica(Mortal(self.world.db, life))
        wire = self.world.wires[-1]
        wire.before = wire.after = life.request
        return loop

    async def rest(self) -> None:
        """Let nothing happen any more until every link is at rest, for two hours at most."""
        for _ in range(6):
            await self.carry(REST)
            known = self.world.db.read_now(lambda c: links.page(c, self.world.tenant, limit=500))
            if all(link.state in RESTING for link in known):
                return

    async def carry(self, seconds: float) -> None:
        """Let both replicas work for so long, side by side."""
        world, clock = self.world, self.world.clock
        end = clock.at + timedelta(seconds=seconds)
        while True:
            both = [0, 1] if self.chance.random() < 0.3 else [self.chance.randrange(2)]
            results = await asyncio.gather(
                *(self.replicas[place].step() for place in both), return_exceptions=True
            )
            for place, result in zip(both, results, strict=True):
                if isinstance(result, Killed):
                    self.kills += 1
                    self.lives[place] = self.born()
                    self.replicas[place] = self.replica(place)
                elif isinstance(result, BaseException):
                    raise result
            following = await world.db.read(lambda c: links.next_at(c, world.settings.name))
            if following is None or following > end:
                break
            clock.at = max(clock.at + timedelta(seconds=1), following)
        clock.at = max(end, clock.at)

    async def something(self) -> None:
        """One thing happens, at one of the ends or in between."""
        choice = self.chance.random()
        if not self.incidents or choice < 0.12:
            severity = self.chance.choice(("minor", "major", "critical"))
            self.incidents.append(await self.world.open(f"fault {len(self.incidents)}", severity))
        elif choice < 0.45:
            await self.person()
        elif choice < 0.7:
            self.desk()
        elif choice < 0.92:
            self.fault()
        else:
            self.kill()

    async def person(self) -> None:
        """Somebody uses Sextant."""
        incident = self.chance.choice(self.incidents)
        name, body = self.chance.choice((
            ("notes", {"text": f"ours {self.chance.random()}"}),
            ("severity", {"severity": "critical", "reason": "worse"}),
            ("severity", {"severity": "minor", "reason": "better"}),
            ("resolve", {"resolution": "vendor_fix"}),
            ("reopen", {"reason": "back again"}),
            ("dismiss", {"resolution": "false_positive", "reason": "none"}),
            ("merge", {"into": str(self.chance.choice(self.incidents).id)}),
        ))  # fmt: skip
        with contextlib.suppress(AppError):
            await self.world.do(name, incident, **body)

    def desk(self) -> None:
        """Somebody uses ServiceNow."""
        tickets = self.world.tickets()
        if not tickets:
            return
        ticket = self.chance.choice(tickets)
        with contextlib.suppress(Refused):
            if self.chance.random() < 0.3:
                text = f"theirs {self.chance.random()}"
                self.world.human(ticket, work_notes=text)
                self.human_notes.append(text)
            else:
                self.world.human(ticket, **self.chance.choice(HUMAN_EDITS))

    def fault(self) -> None:
        """The instance, or the way to it, goes wrong for some requests."""
        late = self.chance.random() < 0.15
        kind = Kind.LATE_COMMIT if late else self.chance.choice(ANYWHERE)
        method = "POST" if late else self.chance.choice(("", "GET", "POST", "PATCH"))
        times = self.chance.choice((1, 1, 2, 5))
        seconds = self.chance.choice((5.0, 30.0, 58.0))
        self.world.instance.faults.append(
            Fault(kind=kind, method=method, path="", times=times, seconds=seconds)
        )

    def kill(self) -> None:
        """One replica dies at one of the next points: between any two of its effects."""
        life = self.chance.choice(self.lives)
        life.left = self.chance.randrange(DEATHS)

    def wrong(self) -> list[str]:
        """Everything that must not be."""
        found = [*self.duplicates(), *self.fought(), *self.adrift(), *self.echoes()]
        for sent in self.world.instance.log:
            body = sent.body if isinstance(sent.body, dict) else {}
            if body.get("state") == "7" or "priority" in body or "comments" in body:
                found.append(f"sent what must never be sent: {sorted(body)}")
        return found

    def duplicates(self) -> list[str]:
        counted = Counter(t["correlation_id"] for t in self.world.tickets())
        return [f"{number} tickets of {name}" for name, number in counted.items() if number > 1]

    def fought(self) -> list[str]:
        """Writes of ours over something that a person had changed."""
        found = []
        holder: dict[tuple[str, str], str] = {}
        left: dict[str, str] = {}  # the state in which no person has put the ticket
        for one in self.world.instance.audit:
            changed = {k for k, v in one.after.items() if one.before.get(k) != v}
            was = left.setdefault(one.sys_id, one.before["state"])
            if one.user == OURS:
                # Who moves a state and moves it back before anybody looks has changed nothing.
                found += self._over(one, changed, holder, moved=one.before["state"] != was)
            if one.user in (OURS, "system"):
                left[one.sys_id] = one.after["state"]
            else:
                holder |= {(one.sys_id, name): one.user for name in changed}
        return found

    def _over(
        self, one: Audit, changed: set[str], holder: dict[tuple[str, str], str], *, moved: bool
    ) -> list[str]:
        number = one.after["number"]
        found = [
            f"{number}: {name} written over {holder[one.sys_id, name]}"
            for name in GUARDED
            if name in changed and (one.sys_id, name) in holder
        ]
        if moved and "state" in changed:
            found.append(f"{number}: state {one.before['state']} of a person written over")
        lowered = [n for n in ("impact", "urgency") if int(one.after[n]) > int(one.before[n])]
        return found + [f"{number}: {name} lowered" for name in lowered]

    def adrift(self) -> list[str]:
        """Links that are not at rest, say nothing, or rest on something else than is there."""
        known = self.world.db.read_now(lambda c: links.page(c, self.world.tenant, limit=500))
        newest = {link.subject: link for link in sorted(known, key=lambda li: li.generation)}
        found = [
            f"{link.correlation} is {link.state}: {link.explanation}"
            for link in known
            if link.state not in RESTING or not link.explanation
        ]
        for incident in self.incidents:
            link = newest.get(str(incident.id))
            now = self.world.incident(incident)
            if link is None:
                if self.world.terms.wants(now):
                    found.append(f"{incident.number} has no link")
                continue
            record = self.world.instance.tables["incident"].get(link.remote_id or "")
            is_open = now.status in OPEN_STATUSES
            if link.state is LinkState.IN_STEP and record is not None:
                ended = record["state"] in {"6", "7", "8"}
                if ended is is_open:
                    found.append(f"{link.number} is {record['state']}, {now.number} {now.status}")
            if link.state is LinkState.ENDED and is_open and self.world.terms.wants(now):
                found.append(f"{now.number} goes on without a ticket: {link.explanation}")
        return found

    def echoes(self) -> list[str]:
        """Notes that came twice, in either direction."""
        found = []
        texts: Counter[str] = Counter()
        for incident in self.incidents:
            texts.update(n.text for n in self.world.incident(incident).notes)
        for text in self.human_notes:
            came = texts[f"demo.agent: {text}"]
            if came > 1:
                found.append(f"a note came back {came} times")
        for ticket in self.world.tickets():
            notes = self.world.instance.notes_of(ticket["sys_id"])
            marks = Counter(MARK.findall("\n".join(notes)))
            found += [
                f"{n} times {mark} in {ticket['number']}" for mark, n in marks.items() if n > 1
            ]
        return found


async def play(db: Database, seed: int) -> tuple[list[str], Run]:
    """One run, with a tenant and a mirror of its own; the same seed gives the same run."""
    name = f"run-{seed}"
    number_ids()
    pictures = Painter() if seed % 4 == 0 else None
    world = MirrorWorld(db, tenant=TenantId(name), name=name, terms=TERMS, pictures=pictures)
    world.instance.closed_writes = random.Random(seed).choice(("refuse", "ignore"))
    run = Run(seed, world, random.Random(seed))
    return await run.play(), run


async def many(first: int, runs: int) -> tuple[list[str], Counter[str]]:
    """So many runs; gives what was wrong, and how the links ended."""
    found: list[str] = []
    ends: Counter[str] = Counter()
    database = Inline()
    for seed in range(first, first + runs):
        database.clear()
        wrong, run = await play(database, seed)
        found += wrong
        ends["kills"] += run.kills
        ends["tickets"] += len(run.world.tickets())
        ends["requests"] += len(run.world.instance.log)
        for link in database.read_now(lambda c, r=run: links.page(c, r.world.tenant, limit=500)):  # type: ignore[misc]
            ends[link.state.value] += 1
    database.close()
    return found, ends


def share(first: int, runs: int) -> tuple[list[str], Counter[str]]:
    """The same, for a process of its own."""
    gc.freeze()
    return asyncio.run(many(first, runs))


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--ledger", type=Path, help="what was done is in it, and is not done again")
    given = parser.parse_args()
    seeds = range(given.first, given.first + given.runs)
    played = []
    for one in ledger.play(share, seeds, share=SHARE, jobs=given.jobs, path=given.ledger):
        played.append(one)
        print(*one.wrong, sep="\n", end="\n" if one.wrong else "")
    done = ledger.read(given.ledger) or played
    runs, wrong, counts = ledger.summary(done)
    print(f"{runs} runs, {len(wrong)} wrong; {dict(counts)}")
    print(ledger.table("mirror", done))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
