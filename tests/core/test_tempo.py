"""What is usual is learned from days; slow for minutes is slow, slow once is chance."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.core.tempo import DAYS, Tempo, drags, learn, recent
from tests.builders import NOW, minutes

DAY = timedelta(days=1)
EMPTY = Tempo()


def days(number: int, *, took: float = 100.0, night: float = 100.0, tempo: Tempo = EMPTY) -> Tempo:
    start = NOW - DAY * number
    for hour in range(24 * number):
        at = start + timedelta(hours=hour)
        value = night if at.hour < 6 else took
        for minute in range(6):
            tempo = learn(tempo, value + minute, at + minutes(minute * 9))
    return learn(tempo, took, NOW)


def test_nothing_is_usual_before_half_a_day_is_known() -> None:
    assert Tempo().usual_ms(NOW) is None
    few = Tempo(medians=dict.fromkeys(range(11), (100.0,)))
    assert few.usual_ms(NOW) is None
    assert Tempo(medians=dict.fromkeys(range(12), (100.0,))).usual_ms(NOW) == 100.0


def test_the_same_hour_is_compared_once_three_days_are_known() -> None:
    known = days(4, took=100, night=500)
    assert known.usual_ms(NOW.replace(hour=2)) == 502.5
    assert known.usual_ms(NOW.replace(hour=12)) == 102.5
    one = days(1, took=100, night=500)
    assert one.usual_ms(NOW.replace(hour=2)) == 102.5


def test_seven_days_are_remembered_and_a_lasting_change_is_the_new_usual() -> None:
    known = days(9, took=900, tempo=Tempo(medians={12: (100.0,) * DAYS}))
    assert all(len(values) <= DAYS for values in known.medians.values())
    assert known.usual_ms(NOW.replace(hour=12)) == 902.5


def test_an_hour_with_few_answers_teaches_nothing() -> None:
    tempo = Tempo()
    for number in range(4):
        tempo = learn(tempo, 100.0, NOW + minutes(number))
    assert learn(tempo, 100.0, NOW + timedelta(hours=1)).medians == {}


def feel(*took: float, usual: float | None = 100.0, gap: float = 1.0) -> list[bool]:
    answers: list = []
    said = []
    for number, value in enumerate(took):
        answers = recent(answers, value, NOW + minutes(number * gap))
        said.append(drags(answers, usual))
    return said


def test_slow_for_minutes_is_slow_and_slow_once_or_twice_is_chance() -> None:
    assert feel(100, 5000, 100, 100, 5000, 100, 5000) == [False] * 7
    assert feel(900, 900, 900, 900) == [False, False, True, True]
    assert feel(100, 900, 900, 900) == [False, False, False, True]
    assert feel(900, 900, 900, 100, 900) == [False, False, True, False, True]


def test_three_times_nearly_nothing_hurts_nobody() -> None:
    assert feel(40, 40, 40, 40, usual=5) == [False] * 4
    assert feel(290, 290, 290, 290) == [False] * 4
    assert not any(feel(9000, 9000, 9000, usual=None))
    assert not drags([], 100.0)


def test_a_check_that_runs_seldom_never_shows_three_in_five_minutes() -> None:
    assert feel(*[9000] * 9, gap=5) == [False] * 9


@given(st.lists(st.floats(0, 1e5), max_size=300))
def test_what_is_kept_is_bounded(took: list[float]) -> None:
    tempo = Tempo()
    for number, value in enumerate(took):
        tempo = learn(tempo, value, NOW + minutes(number * 7))
    assert len(tempo.answers) <= 30
    assert len(tempo.medians) <= 24


def test_an_hour_full_of_answers_takes_no_more() -> None:
    tempo = Tempo()
    for number in range(40):
        tempo = learn(tempo, float(number), NOW + timedelta(seconds=number))
    assert tempo.answers == tuple(float(number) for number in range(30))
