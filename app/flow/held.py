"""What the budget of tickets holds back, and the summary ticket that says so."""

from datetime import datetime, timedelta

from sqlalchemy import Connection

from app.core.incident import Incident
from app.core.link import Link, LinkState, correlation_of
from app.core.types import IncidentId, Origin, Severity, Status
from app.flow.terms import Tools
from app.kit.ids import new_id
from app.store import incidents, links

HOUR = timedelta(hours=1)
SUBJECT = "held-"


def may_create(c: Connection, link: Link, tools: Tools, now: datetime) -> datetime | None:
    """Take one create of this hour's budget; else say when there is one again.

    The mirror's row is locked, so that replicas share one budget.
    """
    terms = tools.terms
    links.standing(c, link.mirror, terms.tenant, now=now, position=0, lock=True)
    if link.incident is None or links.spent(c, link.mirror, now - HOUR) < terms.budget:
        return None
    return (links.frees_at(c, link.mirror, now - HOUR) or now) + HOUR


def summon(c: Connection, tools: Tools, now: datetime) -> None:
    """See that this hour has its summary ticket, and that it hears of what is held."""
    subject = f"{SUBJECT}{now:%Y-%m-%dT%H}"
    known = links.newest(c, tools.mirror.name, subject)
    if known is not None:
        links.wake(c, known.id, now + tools.terms.poll)
        return
    links.add(
        c, fresh(tools, subject, None, generation=1, now=now, due_at=now + timedelta(seconds=1))
    )


def fresh(
    tools: Tools, subject: str, incident: str | None, *, generation: int, now: datetime,
    due_at: datetime,
) -> Link:  # fmt: skip
    """A link that waits for its ticket."""
    return Link(
        id=new_id("lnk"),
        tenant=tools.terms.tenant,
        mirror=tools.mirror.name,
        system=tools.mirror.system,
        subject=subject,
        incident=incident,
        generation=generation,
        state=LinkState.PENDING,
        explanation="Waits for its debounce.",
        correlation=correlation_of(tools.terms.prefix, subject, generation),
        created_at=now,
        due_at=due_at,
    )


def summary_of(c: Connection, link: Link) -> Incident:
    """What a summary ticket is about, in the shape of an incident; open while any is held."""
    waiting = links.held(c, link.mirror)
    about = dict.fromkeys(one.incident or "" for one in waiting)  # with children: each once
    found = [incidents.get(c, link.tenant, one) for one in about]
    named = sorted((i for i in found if i is not None), key=lambda i: i.number)
    titles = [f"{i.number} ({i.severity.word}): {i.title}" for i in named]
    ranges = _ranges([i.number for i in named])
    text = (
        f"The hourly budget of tickets is spent. {len(named)} incidents wait for theirs: {ranges}."
        "\nEach gets its ticket as soon as the budget allows.\n" + "\n".join(titles)
    )
    return Incident(
        id=IncidentId(link.subject),
        number="",
        tenant=link.tenant,
        revision=1,
        key=link.subject,
        title=f"Sextant holds back tickets for {len(named)} incidents",
        summary=text,
        status=Status.CONFIRMED if named else Status.CLOSED,
        status_reason="budget",
        severity=Severity.MAJOR,
        origin=Origin.UNKNOWN,
        services=(),
        opened_at=link.created_at,
        updated_at=link.created_at,
        onset_at=link.created_at,
        resolved_at=None if named else link.created_at,
    )


def _ranges(numbers: list[str]) -> str:
    """Name sorted numbers: runs as first to last, what they begin with once.

    So 500 of them fit into a description, also where every second one is not among them.
    """
    runs: list[list[str]] = []
    for number in numbers:
        if runs and _follows(runs[-1][-1], number):
            runs[-1].append(number)
        else:
            runs.append([number])
    said, head = [], ""
    for run in runs:
        begins = run[0].rpartition("-")
        first = run[0] if begins[0] != head else begins[2]
        said.append(first if len(run) == 1 else f"{first} to {run[-1].rpartition('-')[2]}")
        head = begins[0]
    return ", ".join(said) or "none"


def _follows(before: str, number: str) -> bool:
    head, _, last = before.rpartition("-")
    other, _, following = number.rpartition("-")
    numeric = last.isdecimal() and following.isdecimal()
    return head == other and numeric and int(following) == int(last) + 1
