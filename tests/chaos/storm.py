"""A storm: hundreds of incidents at once against the hourly budget of tickets.

``python -m tests.chaos.storm --incidents 500`` opens them within a minute, lets every second one
of those that wait end before its turn, and asks at every tenth minute: no more creates in any hour
than the budget has, every incident has its ticket or is named as held, and the summary ticket
names each one that waits, by its number, within what a description takes.
"""

import argparse
import asyncio
import logging
import re
import sys
from collections import Counter
from datetime import datetime, timedelta

from app.core.incident import Incident
from app.core.link import LinkState
from app.core.types import OPEN_STATUSES
from app.store import links
from tests.chaos.inline import Inline
from tests.flow.mirroring import MirrorWorld
from tests.standins.servicenow.instance import Record

HOUR = timedelta(hours=1)
LOOK = 600.0  # seconds of the story between two looks
LONGEST = 4000  # characters of a description
NAMED = re.compile(r"[A-Z]+-\d{4}-\d{4,}")


class Storm:
    """One storm and what was seen in it."""

    def __init__(self, world: MirrorWorld, incidents: int) -> None:
        self.world = world
        self.number = incidents
        self.opened: list[Incident] = []
        self.wrong: list[str] = []
        self.most_held = self.most_created = self.longest = 0

    async def play(self) -> None:
        """Open, let half of the waiting ones end, go on until nobody waits."""
        world = self.world
        for number in range(self.number):
            self.opened.append(await world.open(f"Fault number {number} of a long night"))
        await world.run(300)
        self.look()
        for incident in self.held()[1::2]:
            await world.do("resolve", incident, resolution="self_restored")
        await world.run(300)
        self.look()
        hours = self.number // world.terms.budget + 2
        for _ in range(int(hours * HOUR.total_seconds() / LOOK)):
            if not self.held():
                break
            await world.run(LOOK)
            self.look()
        await world.run(2 * LOOK)
        self.end()

    def held(self) -> list[Incident]:
        """Open incidents whose ticket waits for the budget."""
        world = self.world
        waits = {li.incident for li in world.db.read_now(lambda c: links.held(c, "snow"))}
        return [i for i in self.opened if i.id in waits]

    def look(self) -> None:
        """What must hold at any moment."""
        world, held = self.world, self.held()
        self.most_held = max(self.most_held, len(held))
        budget = world.terms.budget
        made = sorted(_at(t) for t in self.tickets())
        for first, at in enumerate(made):
            within = sum(at <= other < at + HOUR for other in made[first:])
            self.most_created = max(self.most_created, within)
        if self.most_created > budget:
            self.wrong.append(f"{self.most_created} tickets within an hour, {budget} allowed")
        for incident in self.opened:
            link, now = world.link(incident), world.incident(incident)
            known = link.state is LinkState.HELD or link.remote_id is not None
            if now.status in OPEN_STATUSES and not known:
                self.wrong.append(f"{incident.number} is forgotten: {link.state}")
        if held:
            self.summaries(held)

    def summaries(self, held: list[Incident]) -> None:
        """The newest summary names all that waits, and is no longer than it may be."""
        text = max(self.all_summaries(), key=_at)["description"]
        self.longest = max(self.longest, len(text))
        unnamed = {i.number for i in held} - named_in(text)
        if unnamed:
            self.wrong.append(f"{len(unnamed)} wait unnamed, such as {min(unnamed)}")

    def end(self) -> None:
        """What must hold when it is over."""
        counted = Counter(t["correlation_id"] for t in self.tickets())
        self.wrong += [f"{n} tickets of {name}" for name, n in counted.items() if n > 1]
        for incident in self.opened:
            is_open = self.world.incident(incident).status in OPEN_STATUSES
            if is_open and f"sextant:{incident.id}" not in counted:
                self.wrong.append(f"{incident.number} never got its ticket")
        self.wrong += [
            f"the summary {t['number']} stays open"
            for t in self.all_summaries() if t["state"] not in {"6", "7", "8"}
        ]  # fmt: skip

    def tickets(self) -> list[Record]:
        """Tickets of incidents."""
        return [t for t in self.world.tickets() if "held-" not in t["correlation_id"]]

    def all_summaries(self) -> list[Record]:
        """Summary tickets."""
        return [t for t in self.world.tickets() if "held-" in t["correlation_id"]]


def named_in(text: str) -> set[str]:
    """Every number that a summary names, singly, by its end, or within a range."""
    said = text.partition("\n")[0].partition("wait for theirs: ")[2].rstrip(".")
    found: set[str] = set()
    head = ""
    for part in said.split(", "):
        ends = []
        for end in part.split(" to "):
            whole = NAMED.fullmatch(end)
            if whole:
                head = end.rpartition("-")[0]
            ends.append(int(end.rpartition("-")[2]))
        found |= {f"{head}-{n:04d}" for n in range(ends[0], ends[-1] + 1)}
    return found


def _at(ticket: Record) -> datetime:
    return datetime.strptime(ticket["sys_created_on"], "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - UTC


async def run(incidents: int, budget: int) -> Storm:
    """Play one storm in a database of its own."""
    database = Inline()
    try:
        terms = {"budget": budget, "poll": timedelta(seconds=240)}
        storm = Storm(MirrorWorld(database, terms=terms), incidents)
        await storm.play()
        return storm
    finally:
        database.close()


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Hundreds of incidents against the budget.")
    parser.add_argument("--incidents", type=int, default=500)
    parser.add_argument("--budget", type=int, default=30)
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    storm = asyncio.run(run(given.incidents, given.budget))
    print(
        f"{given.incidents} incidents, budget {given.budget}: {len(storm.tickets())} tickets, at "
        f"most {storm.most_created} within an hour, at most {storm.most_held} held, "
        f"{len(storm.all_summaries())} summary tickets, the longest {storm.longest} characters; "
        f"{len(storm.wrong)} wrong"
    )
    print("\n".join(sorted(set(storm.wrong))))
    return 1 if storm.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
