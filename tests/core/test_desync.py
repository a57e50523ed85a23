"""Token issued, mailbox refuses: told after two refusals in five minutes, until one is taken."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.core.aggregate import add_reports
from app.core.desync import CODE, PROBE, Refusals, derive, told_by_people
from app.core.incident import Incident
from app.core.signal import ProbeResult, Signal
from app.core.state import Cell, EngineState, minute_of
from app.core.types import Client, Origin, Outcome, SelfCheck, SourceKind, Symptom
from tests.builders import NOW, a_probe_result, a_report, minutes
from tests.core.play import World, at, probes, reports

ISSUED = {"token": "issued"}


def refused(minute: int, **changes: Any) -> ProbeResult:
    values = {
        "probe": "mailbox", "at": NOW + minutes(minute), "http_status": 503, "diagnostics": ISSUED,
        "error": "HTTP 503",
    }  # fmt: skip
    return a_probe_result(**{**values, **changes})


def play(*results: ProbeResult) -> list[ProbeResult | None]:
    refusals, told = Refusals(), []
    for result in results:
        refusals, derived = derive(refusals, result)
        told.append(derived)
    return told


def test_two_refusals_in_five_minutes_are_the_signal() -> None:
    first, second = play(refused(0), refused(2))
    assert first is None
    assert second is not None
    assert (second.probe, second.outcome, second.symptom) == (
        PROBE, Outcome.FAILED, Symptom.AUTH_LOOP,
    )  # fmt: skip
    assert second.error == f"{CODE}: token issued, mailbox refuses; mailbox: HTTP 503"
    assert second.diagnostics == {**ISSUED, "signal": CODE, "rests_on": "mailbox"}
    assert (second.location, second.service) == (refused(0).location, refused(0).service)
    assert second.id not in {refused(0).id, refused(2).id}


def test_different_checks_of_a_mailbox_add_up() -> None:
    assert play(refused(0), refused(1, probe="free_busy"))[1] is not None


def test_two_refusals_far_apart_are_not() -> None:
    assert play(refused(0), refused(6), refused(12)) == [None, None, None]
    assert play(refused(0), refused(6), refused(11))[2] is not None


def test_it_goes_on_until_the_mailbox_takes_a_token() -> None:
    well = refused(6, outcome=Outcome.OK, symptom=None, http_status=200, error=None)
    told = play(refused(0), refused(2), refused(4), well, refused(7))
    assert [None if t is None else t.outcome for t in told] == [
        None, Outcome.FAILED, Outcome.FAILED, Outcome.OK, None,
    ]  # fmt: skip
    assert told[3] is not None
    assert (told[3].symptom, told[3].error) == (None, None)


def test_only_a_refusal_of_a_fresh_token_counts() -> None:
    for other in (
        refused(1, diagnostics=None),
        refused(1, http_status=404),
        refused(1, http_status=None),
        refused(1, outcome=Outcome.UNKNOWN, http_status=None),
    ):
        assert play(refused(0), other, refused(2))[1] is None


def test_a_location_that_is_unsound_stays_so() -> None:
    told = play(*(replace(refused(n), self_check=SelfCheck.FAILED) for n in (0, 1)))
    assert told[1] is not None
    assert told[1].self_check is SelfCheck.FAILED


@given(st.lists(st.booleans(), max_size=30))
def test_it_never_fails_on_a_first_refusal(verdicts: list[bool]) -> None:
    results = [
        refused(n) if bad else refused(n, outcome=Outcome.OK, http_status=200)
        for n, bad in enumerate(verdicts)
    ]
    for number, (bad, told) in enumerate(zip(verdicts, play(*results), strict=True)):
        before = number > 0 and verdicts[number - 1]
        assert (told is not None and told.outcome is Outcome.FAILED) == (bad and before)


LOOP = ((Client.OUTLOOK_DESKTOP, Symptom.AUTH_LOOP), (Client.IMAP_POP, Symptom.AUTH_LOOP))
REFUSED = ((Client.OUTLOOK_DESKTOP, Symptom.AUTH_REJECTED),)


def told(*, mix: tuple[tuple[Client, Symptom], ...], more: Sequence[Signal] = ()) -> Incident:
    """What is made of reports of one kind, while the front door is well from everywhere."""
    world = World()
    said = reports(at("06:00"), at("06:30"), per_minute=6, seed=21, mix=mix)
    well = probes(at("05:30"), at("07:00"), failing={})
    world.play([*well, *said, *more], until=at("06:20"))
    (incident,) = world.alive
    return incident


def test_a_prompt_loop_that_people_report_is_the_signal_and_no_fault_of_their_sign_in() -> None:
    incident = told(mix=LOOP)
    (reason,) = [r for r in incident.explanation if r.reason == "tier_desync"]
    assert reason.source is SourceKind.CLIENT_REPORT
    assert "at least 3 users are asked for their password" in reason.text
    assert Symptom.AUTH_LOOP in incident.symptoms
    assert incident.origin is Origin.VENDOR


def test_refused_sign_ins_are_not_the_signal() -> None:
    incident = told(mix=REFUSED)
    assert incident.origin is Origin.IDENTITY
    assert not [r for r in incident.explanation if r.reason == "tier_desync"]


def test_checks_that_are_refused_with_a_fresh_token_are_named_beside_the_people() -> None:
    derived = [
        a_probe_result(probe=PROBE, location="berlin", at=at("06:05") + minutes(n),
                       symptom=Symptom.AUTH_LOOP)
        for n in range(12)
    ]  # fmt: skip
    (reason,) = [r for r in told(mix=LOOP, more=derived).explanation if r.reason == "tier_desync"]
    assert reason.source is SourceKind.PROBE
    assert reason.text.endswith("again and again; a fresh token is refused at berlin")


def test_one_who_says_it_often_is_one_and_two_are_not_enough() -> None:
    def cells(*actors: str) -> list[Cell]:
        said = [
            a_report(symptom=Symptom.AUTH_LOOP, actor=actor, at=NOW + minutes(n % 5))
            for n in range(20)
            for actor in actors
        ]
        return list(add_reports(EngineState(), said)[0].cells.values())

    start, end = minute_of(NOW), minute_of(NOW) + 10
    assert told_by_people(cells("a", "b"), start, end, people=3) is None
    assert told_by_people(cells("a", "b", "c"), start, end, people=3) == start
    assert told_by_people(cells("a", "b", "c"), start + 6, end, people=3) is None


def test_a_refusal_in_words_alone_counts_as_one_by_its_status() -> None:
    said = {"token": "issued", "mailbox": "refused"}
    told = play(*(refused(n, http_status=None, diagnostics=said) for n in (0, 2)))
    assert told[1] is not None
