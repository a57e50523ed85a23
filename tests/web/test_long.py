"""The page of an incident that has gone on for weeks stays small."""

import re
from datetime import timedelta

from app.core.events import EventType
from app.core.incident import Note
from tests.builders import NOW, TENANT
from tests.web.status.stage import a_context, an_event, an_outage, browser_of, keep

NOTES, EVENTS = 120, 300


async def test_many_notes_and_events_leave_the_page_under_100_kb(sqlite_database) -> None:
    context = a_context(sqlite_database, {"id": TENANT, "name": "Contoso"})
    notes = tuple(
        Note(at=NOW + timedelta(minutes=n), by="ada", text=f"Note {n}. " + "x" * 300,
             visibility="internal")
        for n in range(NOTES)
    )  # fmt: skip
    incident = an_outage(opened_at=NOW - timedelta(days=30), notes=notes)
    found = [an_event(incident, EventType.NOTED, n) for n in range(EVENTS)]
    await keep(context, incident, *found)
    async with browser_of(context) as browser:
        page = (await browser.get(f"/incidents/{incident.id}")).text
        plain = re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)
        assert len(plain.encode()) < 100_000
        assert page.count('class="a-note"') == 20
        assert page.index("Note 119.") < page.index("Note 100.")
        assert "Note 99." not in page
        link = re.search(r'href="([^"#]+)#notes">Show 100 older notes', page)[1]
        assert (await browser.get(link)).text.count('class="a-note"') == NOTES
