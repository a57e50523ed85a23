"""The status page in more than one language, and the messages on it that a person let out."""

import re
import string
from datetime import timedelta

import feedparser
import icalendar
import pytest

from app.api.picture import Pictures
from app.core.errors import SettingsError
from app.core.incident import Approval
from app.core.types import Status
from app.settings import Settings
from app.web.status.export import export
from app.web.status.reading import Sources, read_status
from app.web.status.site import Look, Site
from app.web.status.words import SHIPPED, read_words
from tests.builders import NOW, TENANT
from tests.web.status.stage import (
    LATER,
    NUMBER,
    SECRETS,
    a_context,
    an_outage,
    browser_of,
    json_of,
    keep,
    keep_advisory,
    keep_outage,
    keep_window,
)

BOTH = {"access": "public", "languages": ["en", "de"]}
GERMAN = "Es gibt eine Störung.\nBetroffen: E-Mail & Kalender"
ENGLISH = "There is a disturbance.\nAffected: e-mail & calendar"


def let_out(text: str, minutes: float, **changes) -> Approval:
    values = {"audience": "users", "language": "de", "phase": "first", "revision": 3, "by": "anna"}
    at = NOW + timedelta(minutes=minutes)
    return Approval(at=at, title="Störung", text=text, **(values | changes))


@pytest.fixture
def context(sqlite_database):
    return a_context(sqlite_database, {"id": TENANT, "name": "Contoso", "status": BOTH})


@pytest.fixture
async def browser(context):
    async with browser_of(context) as client:
        yield client


def leaves(language: str) -> dict[str, str]:
    tables = read_words(language).tables
    return {f"{t}.{w}": str(said) for t, words in tables.items() for w, said in words.items()}


def test_each_shipped_language_has_the_same_words_with_the_same_gaps() -> None:
    def gaps(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    english = leaves("en")
    for language in SHIPPED:
        own = leaves(language)
        assert own.keys() == english.keys()
        assert {k for k in own if gaps(own[k]) != gaps(english[k])} == set()


async def test_the_german_page_has_no_english_sentence(browser, context) -> None:
    await keep_outage(context)
    await keep_window(context, minutes=60)
    await keep_advisory(context, service="microsoft-teams", service_name="Teams")
    english, german = leaves("en"), leaves("de")
    foreign = {said for word, said in english.items() if said != german[word] and len(said) > 9}
    for path in ("", f"/incidents/{NUMBER}"):
        own = (await browser.get(f"/status{path}")).text
        page = (await browser.get(f"/status/in/de{path}")).text
        assert '<html lang="de">' in page
        assert '<html lang="en">' in own
        assert f'hreflang="en" href="/status{path}"' in page
        assert f'hreflang="de" href="/status/in/de{path}"' in own
        for said in ("Behebung läuft", "Einige sind betroffen. Der Fehler liegt bei Microsoft.",
                     "Exchange Online: Fehlermeldungen und wiederholte Anmeldeaufforderungen",
                     "seit <time", "16. März 2026, 06:30 UTC"):  # fmt: skip
            assert said in page
        shown = re.sub(r'data-words="[^"]*"', "", page)
        assert {said for said in foreign if re.search(rf"\b{re.escape(said)}", shown)} == set()
        assert [word for word in SECRETS if word.lower() in page.lower()] == []


async def test_feeds_and_json_of_a_language_speak_it_and_lead_to_it(browser, context) -> None:
    await keep_outage(context)
    await keep_window(context, minutes=20)
    feeds = {
        language: feedparser.parse((await browser.get(f"/status/{folder}feed.atom")).content)
        for language, folder in (("en", ""), ("de", "in/de/"))
    }
    german, english = feeds["de"], feeds["en"]
    assert not german.bozo
    assert german.feed.title == "Contoso: Status"
    assert german.entries[0].title.startswith("In Untersuchung: Exchange Online")
    assert german.entries[0].link.endswith(f"/status/in/de/incidents/{NUMBER}")
    assert german.entries[0].id != english.entries[0].id
    summary = json_of(await browser.get("/status/in/de/summary.json"))
    assert summary["page"]["url"].endswith("/status/in/de")
    assert summary["status"]["description"] == "Teilweise ausgefallen"
    assert summary["incidents"][0]["incident_updates"][0]["body"] == "Die Behebung läuft."
    read = icalendar.Calendar.from_ical((await browser.get("/status/in/de/incidents.ics")).text)
    titles = {str(one["summary"]) for one in read.walk("VEVENT")}
    assert {name for name in titles if name.endswith("(dauert an)")}
    assert "Geplante Arbeiten: Exchange Online" in titles
    assert "Ausfall" in (await browser.get("/status/in/de/badge.svg")).text
    for unknown in ("/status/in/fr", "/status/in/en", "/status/in/en/feed.atom", "/status/in/de/x"):
        assert (await browser.get(unknown)).status_code == 404


async def test_a_merged_incident_leads_on_in_the_language_that_is_read(browser, context) -> None:
    await keep_outage(context)
    number = "INC-2026-0002"
    await keep(
        context, an_outage(id="inc_2", number=number, status=Status.MERGED, merged_into="inc_1")
    )
    answer = await browser.get(f"/status/in/de/incidents/{number}")
    assert answer.headers["location"] == f"/status/in/de/incidents/{NUMBER}"


async def test_what_was_let_out_to_users_stands_on_page_feed_calendar_and_json(
    browser, context
) -> None:
    approvals = (
        let_out(GERMAN, 10),
        let_out(ENGLISH, 11, language="en"),
        let_out("Rufnummer der Leitung", 12, audience="executives"),
        let_out("Es geht weiter.", 14, phase="update"),
    )
    await keep_outage(context, approvals=approvals)
    for folder, language, other in (("", "en", GERMAN), ("in/de/", "de", ENGLISH)):
        told = {"en": ENGLISH, "de": GERMAN}[language]
        summary = json_of(await browser.get(f"/status/{folder}summary.json"))
        bodies = [one["body"] for one in summary["incidents"][0]["incident_updates"]]
        assert bodies[:2] == ["Es geht weiter.", told]  # no English update was let out
        assert other not in bodies
        page = (await browser.get(f"/status/{folder}incidents/{NUMBER}")).text
        assert told.replace("&", "&amp;") in page
        assert ('<p class="written" lang="de">Es geht weiter.' in page) is (language == "en")
        entry = feedparser.parse((await browser.get(f"/status/{folder}feed.atom")).content)
        assert told.splitlines()[0] in entry.entries[0].content[0].value
        calendar = icalendar.Calendar.from_ical(
            (await browser.get(f"/status/{folder}incidents.ics")).text
        )
        assert told in str(calendar.walk("VEVENT")[0]["description"])
        assert "Leitung" not in page


async def test_a_message_let_out_of_a_suspicion_releases_it(browser, context) -> None:
    suspected = {"status": Status.SUSPECTED, "confirmed_at": None}
    await keep(context, an_outage(approvals=(let_out(GERMAN, 2),), **suspected))
    await keep(context, an_outage(id="inc_2", number="INC-2026-0002", **suspected))
    page = (await browser.get("/status/in/de")).text
    assert "Es gibt eine Störung." in page
    assert "INC-2026-0002" not in page


async def test_an_export_holds_each_language_and_leads_from_one_to_the_other(
    context, tmp_path
) -> None:
    await keep_outage(context)
    tenant = context.settings.tenants[0]
    sources = Sources(db=context.db, clock=context.clock, pictures=Pictures(context))
    look = Look(live=False, root="", address="", made_at=LATER, renewed_seconds=60)
    views, out = await read_status(sources, tenant), tmp_path / "out"
    export(Site(views=views, settings=tenant.status, look=look), out)
    page = (out / "in/de/incidents" / f"{NUMBER}.html").read_text()
    links = set(re.findall(r'(?:href|src)="([^"#]+)"', page))
    assert f"../../../incidents/{NUMBER}.html" in links
    assert "../../../in/de/index.html" in links
    for link in links:
        assert (out / "in/de/incidents" / link).resolve().is_file(), link


def test_a_language_without_words_stops_the_start_and_own_words_are_used(tmp_path) -> None:
    def settings(**words):
        tenant = {"id": TENANT, "status": {"languages": ["fr"]}}
        return Settings.model_validate({"tenants": [tenant], "messages": words})

    with pytest.raises(SettingsError, match='"fr" is not shipped'):
        settings()
    folder = tmp_path / "fr"
    folder.mkdir()
    (folder / "status.toml").write_text('[page]\nnow = "Maintenant"\n')
    with pytest.raises(SettingsError, match="lacks"):
        settings(folder=str(tmp_path))
    own = tmp_path / "de"
    own.mkdir()
    (own / "status.toml").write_text('[page]\nnow = "Gerade jetzt"\n')
    assert read_words("de", tmp_path).say("now") == "Gerade jetzt"
    assert read_words("de", tmp_path).say("services") == "Dienste"
