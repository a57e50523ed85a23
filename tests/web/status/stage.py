"""A Sextant with a status page, and what lies in its store."""

import json
from datetime import timedelta

import httpx

from app.api.app import add_routes, create_api
from app.bootstrap import Context, build
from app.core.events import Actor, EventType
from app.core.incident import Impact, Incident, Note
from app.core.maintenance import Window
from app.core.types import ActorKind, ImpactLevel, Status, Symptom
from app.formats.native_v1 import Renderer
from app.kit.clock import FixedClock
from app.settings import Settings
from app.store import advisories, events, incidents, maintenance
from app.store.engine import Database
from app.web.routes import create_router
from tests import builders
from tests.builders import NOW, TENANT

BASE = "http://127.0.0.1:8000"
LATER = NOW + timedelta(minutes=30)
SECRETS = ("berlin", "anna", "Grobi GmbH", "mta-17", "10.1.2.3", "webshop")
NUMBER = "INC-2026-0001"


def a_context(db: Database, *tenants: dict, public_url: str = BASE) -> Context:
    given = tenants or ({"id": TENANT, "name": "Contoso", "status": {"access": "public"}},)
    settings = Settings.model_validate({"tenants": given, "server": {"public_url": public_url}})
    context = build(settings, db)
    context.clock = FixedClock(LATER)
    context.fold._clock = context.clock
    return context


def browser_of(context: Context) -> httpx.AsyncClient:
    api = create_api(context)
    add_routes(api, create_router().routes)
    return httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url=BASE)


def an_outage(**changes) -> Incident:
    """A confirmed incident whose own words hold what must not go out."""
    values = {
        "title": "berlin-office, Grobi GmbH: mta-17 fails <script>",
        "summary": "anna and 3 users at 10.1.2.3 hit it.",
        "services": ("exchange-online",),
        "symptoms": (Symptom.HTTP_5XX, Symptom.AUTH_LOOP),
        "regions": ("berlin",),
        "networks": ("berlin-office",),
        "labels": {"team": "webshop"},
        "impact": Impact(level=ImpactLevel.SOME, reporters=4, reports=19),
        "acknowledged_by": "anna",
        "acknowledged_at": NOW,
        "confirmed_at": NOW + timedelta(minutes=3),
        "cause_text": "mta-17 in berlin",
    }
    return builders.an_incident(**(values | changes))


def an_event(incident: Incident, kind: EventType, minutes: float, **changes):
    at = NOW + timedelta(minutes=minutes)
    number = sum(ord(letter) for letter in incident.id) * 1000 + round(minutes * 10)
    return builders.an_event(
        id=f"evt_{incident.id}_{minutes}", type=kind, incident=incident, occurred_at=at,
        sequence=100_000 + number, **changes,
    )  # fmt: skip


def a_note(text: str, minutes: float, *, visibility: str = "public") -> Note:
    return Note(at=NOW + timedelta(minutes=minutes), by="anna", text=text, visibility=visibility)


def noted(incident: Incident, note: Note, kind: ActorKind = ActorKind.PERSON):
    minutes = (note.at - NOW).total_seconds() / 60
    return an_event(
        incident, EventType.NOTED, minutes, actor=Actor(kind=kind, id="anna"),
        facts={"note": {"text": note.text, "visibility": note.visibility}},
    )  # fmt: skip


async def keep(context: Context, incident: Incident, *found) -> None:
    render = Renderer(public_url=BASE)

    def work(c) -> None:
        incidents.put(c, [incident])
        events.append(c, [(event, render(event)) for event in found])

    await context.db.write(work)


async def keep_outage(context: Context, **changes) -> Incident:
    """The outage with its lifecycle, a public note, an internal one, and a mirror's comment."""
    notes = (
        a_note("We ask you to use <Outlook on the web> & wait.\nMore at 7:00.", 5),
        a_note("mta-17 again, call anna", 6, visibility="internal"),
        a_note("berlin desk: the customer Grobi GmbH called", 7),
    )
    incident = an_outage(notes=notes, **changes)
    found = [
        an_event(incident, EventType.OPENED, 1),
        an_event(incident, EventType.CONFIRMED, 3),
        noted(incident, notes[0]),
        noted(incident, notes[1]),
        noted(incident, notes[2], ActorKind.MIRROR),
        an_event(incident, EventType.MITIGATING, 9),
    ]
    if incident.status is Status.RESOLVED:
        found.append(an_event(incident, EventType.RESOLVED, 20))
    await keep(context, incident, *found)
    return incident


async def keep_advisory(context: Context, **changes) -> None:
    def work(c) -> None:
        advisories.upsert(c, TENANT, builders.an_advisory(**changes), None, 1)

    await context.db.write(work)


async def keep_window(context: Context, *, minutes: float, **changes) -> None:
    begins = NOW + timedelta(minutes=minutes)
    window = Window(**{
        "id": f"mnt_{minutes:.0f}", "tenant": TENANT, "title": "berlin: swap mta-17",
        "starts_at": begins, "ends_at": begins + timedelta(hours=1),
        "services": frozenset({"exchange-online"}), "created_at": NOW, **changes,
    })  # fmt: skip
    await context.db.write(lambda c: maintenance.add(c, window))


def json_of(answer: httpx.Response) -> dict:
    assert answer.status_code == 200, answer.text
    return json.loads(answer.content)
