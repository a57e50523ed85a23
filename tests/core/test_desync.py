"""Token issued, mailbox refuses: told after two refusals in five minutes, until one is taken."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.core.desync import CODE, PROBE, Refusals, derive
from app.core.signal import ProbeResult
from app.core.types import Outcome, SelfCheck, Symptom
from tests.builders import NOW, a_probe_result, minutes

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
