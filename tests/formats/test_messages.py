"""Messages for people: golden texts, what users never read, and templates of an operator."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.announce import Audience, NoticePhase
from app.core.errors import SettingsError
from app.core.incident import Impact, Incident, LinkedAdvisory, Note, Reason
from app.core.types import (
    Client,
    Disagreement,
    ImpactLevel,
    IncidentId,
    Origin,
    Resolution,
    Severity,
    Status,
    Symptom,
)
from app.formats.messages import Writer
from tests.builders import NOW, an_incident, minutes
from tests.formats.messages_golden import EVIDENCE, FOLDER, OPEN, OVER, READER, page, written

WRITER = Writer()
WARNING = {"en": "Beware of fraud", "de": "Vorsicht, Betrug"}


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_messages_are_those_of_the_golden_file(language: str) -> None:
    assert page(WRITER, language) == (FOLDER / f"{language}.txt").read_text("utf-8")


def test_two_writers_write_the_same() -> None:
    assert written(WRITER, "de") == written(Writer(), "de")


MARKER = "zq7"
hostile = st.sampled_from(
    [
        f"<b>{MARKER}</b>",
        f"{MARKER} anna@contoso.example called",
        f"EX9999999 {MARKER}",
        f"{{{{ {MARKER} }}}} {{% raw %}}",
        f"&lt;{MARKER}&gt;",
    ]
)


@st.composite
def incidents(draw: st.DrawFn) -> Incident:
    status = draw(st.sampled_from(Status))
    advisory = LinkedAdvisory(
        id=f"EX{MARKER}", title=draw(hostile), classification="incident", status=draw(hostile),
        condition="failing", published_at=NOW, started_at=NOW, is_resolved=draw(st.booleans()),
    )  # fmt: skip
    return an_incident(
        id=IncidentId(f"inc_{MARKER}"),
        number=f"INC-{MARKER}",
        title=draw(hostile),
        summary=draw(hostile),
        status=status,
        status_reason=draw(hostile),
        severity=draw(st.sampled_from(Severity)),
        origin=draw(st.sampled_from(Origin)),
        services=tuple(draw(st.lists(st.sampled_from(
            ["exchange-online", "entra-id", "viva", "other", f"<i>{MARKER}</i>"]
        ), max_size=3))),
        features=(draw(hostile),),
        symptoms=tuple(draw(st.lists(st.sampled_from(Symptom), max_size=4))),
        clients=tuple(draw(st.lists(st.sampled_from(Client), max_size=4))),
        regions=(draw(hostile), "de"),
        networks=(draw(hostile),),
        impact=Impact(level=draw(st.sampled_from(ImpactLevel)), reporters=77_123, reports=88_123),
        advisories=draw(st.sampled_from([(), (advisory,)])),
        disagreement=draw(st.sampled_from(Disagreement)),
        cause_category=draw(st.sampled_from([None, "capacity", f"<{MARKER}>"])),
        cause_text=draw(hostile),
        resolution=draw(st.sampled_from([None, *Resolution])),
        resolved_at=draw(st.sampled_from([None, NOW + minutes(9)])),
        acknowledged_by=MARKER,
        acknowledged_note=draw(hostile),
        assignee_name=MARKER,
        labels={MARKER: MARKER},
        stale_sources=tuple(draw(st.lists(hostile, max_size=1))),
        notes=tuple(
            Note(at=NOW, by=MARKER, text=draw(hostile), visibility=word)
            for word in ("internal", "public")
        ),
        explanation=(
            Reason(reason="tier_desync", effect="+", weight=1.0, text=draw(hostile), source=None,
                   at=NOW),
        ),
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(incidents(), st.sampled_from(NoticePhase), st.sampled_from(["en", "de"]))
def test_users_never_read_ids_notes_reporters_or_markup(
    incident: Incident, phase: NoticePhase, language: str
) -> None:
    evidence = {"cells": [{"source": "client_report", "exemplars": [{"code": MARKER}]}]}
    made = WRITER.write(
        incident, READER, audience=Audience.USERS, language=language, phase=phase,
        evidence=evidence,
    )  # fmt: skip
    whole = f"{made.title}\n{made.text}"
    for forbidden in (
        MARKER,
        "<",
        ">",
        "&lt;",
        "{{",
        "inc_",
        "INC-",
        "EX9",
        "@",
        "77",
        "88",
        "http",
    ):
        assert forbidden not in whole, whole
    assert made.title
    assert "\n" not in made.title
    assert made.text.count(WARNING[language]) == 1


@settings(max_examples=30, deadline=None)
@given(incidents(), st.sampled_from(Audience), st.sampled_from(["en", "de"]))
def test_internal_notes_reach_nobody(incident: Incident, audience: Audience, language: str) -> None:
    note = Note(at=NOW, by="anna", text="only among ourselves", visibility="internal")
    noted = replace(incident, notes=(*incident.notes, note))
    made = WRITER.write(noted, READER, audience=audience, language=language, evidence=EVIDENCE)
    assert "among ourselves" not in made.text
    assert made.fallback == ""


def test_a_public_note_reaches_the_help_desk() -> None:
    note = Note(at=NOW, by="anna", text="The phone app\nworks.", visibility="public")
    noted = replace(OPEN, notes=(note,))
    made = WRITER.write(noted, READER, audience=Audience.HELP_DESK, language="en")
    assert "- The phone app works." in made.text


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        (Status.SUSPECTED, NoticePhase.FIRST),
        (Status.CONFIRMED, NoticePhase.FIRST),
        (Status.MITIGATING, NoticePhase.MITIGATED),
        (Status.MONITORING, NoticePhase.MITIGATED),
        (Status.RESOLVED, NoticePhase.RESOLVED),
        (Status.CLOSED, NoticePhase.RESOLVED),
        (Status.DISMISSED, NoticePhase.RESOLVED),
        (Status.MERGED, NoticePhase.UPDATE),
    ],
)
def test_the_phase_follows_the_status(status: Status, phase: NoticePhase) -> None:
    made = WRITER.write(an_incident(status=status), READER, audience=Audience.USERS, language="en")
    assert (made.phase, made.holds) == (phase, True)


def test_a_preview_of_what_is_not_so_says_that_it_does_not_hold() -> None:
    made = WRITER.write(
        OPEN, READER, audience=Audience.USERS, language="en", phase=NoticePhase.RESOLVED
    )
    assert not made.holds


def test_a_suspicion_and_a_false_alarm_are_called_so() -> None:
    suspected = an_incident(status=Status.SUSPECTED)
    dismissed = an_incident(status=Status.DISMISSED)
    first = WRITER.write(suspected, READER, audience=Audience.USERS, language="en")
    last = WRITER.write(dismissed, READER, audience=Audience.USERS, language="en")
    assert first.title.startswith("Possible disturbance")
    assert last.title.startswith("False alarm")


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    bare = an_incident(origin=Origin.UNKNOWN, symptoms=())
    made = WRITER.write(bare, READER, audience=Audience.USERS, language="en")
    assert made.text.count("We do not know yet") == 3


def test_a_file_of_the_operator_goes_over_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "de").mkdir()
    (tmp_path / "de" / "users-resolved.txt").write_text(
        "Alles gut: {{ tenant }}\n\nEs geht wieder."
    )
    (tmp_path / "de" / "words.toml").write_text('[services]\nexchange-online = "die Post"\n')
    own = Writer(("de",), tmp_path)
    own.try_out()
    over = own.write(OVER, READER, audience=Audience.USERS, language="de")
    still = own.write(OPEN, READER, audience=Audience.USERS, language="de")
    assert over.title == "Alles gut: Contoso"
    assert WARNING["de"] in over.text  # no template can leave it out
    assert still.title == "Störung: die Post"


def test_a_language_of_the_operator_needs_words_and_templates(tmp_path: Path) -> None:
    folder = tmp_path / "fr"
    folder.mkdir()
    with pytest.raises(SettingsError, match="is not shipped"):
        Writer(("fr",), tmp_path).try_out()
    words = Path("app/formats/messages/en/words.toml").read_text("utf-8")
    (folder / "words.toml").write_text(words.replace('auth_loop = "', 'auth_loop_ = "'))
    with pytest.raises(SettingsError, match=r"lacks symptoms\.auth_loop"):
        Writer(("fr",), tmp_path).try_out()
    (folder / "words.toml").write_text(words.replace("{zone}", "{zome}"))
    (folder / "users.txt").write_text("Panne\n\n{{ services | each('services') | listed }}")
    with pytest.raises(SettingsError, match=r"fr, words\.toml: KeyError"):
        Writer(("fr",), tmp_path).try_out()
    (folder / "words.toml").write_text(words)
    with pytest.raises(SettingsError, match="fr, help_desk"):
        Writer(("fr",), tmp_path).try_out()
    for audience in Audience:
        (folder / f"{audience}.txt").write_text(
            "Panne\n\n{{ services | each('services') | listed }}"
        )
    own = Writer(("fr",), tmp_path)
    own.try_out()
    assert own.write(OPEN, READER, audience=Audience.SOC, language="fr").title == "Panne"


@pytest.mark.parametrize(
    "template",
    [
        "{{ number }}",  # not for users
        "{{ tenant.__class__.__mro__ }}",
        "{% include '../../secret.txt' %}",
        "{{ services.append('x') }}",
        "{% if %}",
        "{{ 1 / 0 }}",
        "{% for i in range(10000000) %}x{% endfor %}",
    ],
)
def test_a_template_that_cannot_be_used_stops_the_start_and_never_a_message(
    tmp_path: Path, template: str
) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "users.txt").write_text(f"Title\n\n{template}")
    own = Writer(("en",), tmp_path)
    with pytest.raises(SettingsError, match="messages: en, users, first"):
        own.try_out()
    made = own.write(OPEN, READER, audience=Audience.USERS, language="en")
    assert made.title == "Disturbance: e-mail and calendar (Outlook)"
    assert "the shipped template stands in" in made.fallback
