"""The dedup memory: exact for the window, and small."""

import random
import sys
from datetime import timedelta

import pytest

from app.flow import seen as module
from app.flow.seen import Seen
from tests.builders import NOW

WINDOW = timedelta(hours=3)
HOUR = timedelta(hours=1)


def test_it_knows_what_a_set_with_times_knows():
    drawn, now = random.Random(4), NOW.replace(minute=0)
    seen, known = Seen(WINDOW), {}
    for _ in range(400):
        now += HOUR * drawn.randrange(3) * drawn.randrange(2)
        # Three letters alone, so that drawers are full and an id is found between two others too.
        keys = list({bytes(drawn.choices((0, 1, 2), k=8)) for _ in range(drawn.randrange(40))})
        seen.forget(now)
        known = {key: at for key, at in known.items() if at >= now - WINDOW}
        assert [key in seen for key in keys] == [key in known for key in keys]
        new = [key for key in keys if key not in known]
        seen.add(b"".join(new), now)
        known |= dict.fromkeys(new, now)
        assert len(seen) == len(known)


def test_many_ids_are_told_apart_and_forgotten(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "WIDE_FROM", 500)
    monkeypatch.setattr(module, "SWEPT_AT_ONCE", 30_000)
    made, seen = random.Random(1), Seen(WINDOW)
    first = [made.randbytes(8) for _ in range(400)]
    second = [made.randbytes(8) for _ in range(400)]  # the drawers are laid out anew meanwhile
    seen.add(b"".join(first), NOW)
    seen.add(b"".join(second), NOW + HOUR)
    assert all(key in seen for key in first + second)
    assert not any(made.randbytes(8) in seen for _ in range(2000))
    assert not any(key[::-1] in seen for key in first + second)
    later = NOW + timedelta(hours=4)
    for _ in range(4):  # the bytes go a part at a time; what they say is over at once
        seen.forget(later)
        assert not any(key in seen for key in first)
        assert all(key in seen for key in second)
    seen.add(b"".join(first), later)
    assert all(key in seen for key in first)
    assert len(seen) == 800


def test_what_is_taken_is_new_or_given_back():
    drawn, now = random.Random(5), NOW.replace(minute=0)
    seen, known = Seen(WINDOW), {}
    taken = refused = 0
    for _ in range(2000):
        now += timedelta(minutes=drawn.randrange(40)) * drawn.randrange(2)
        keys = [bytes(drawn.choices(range(3), k=8)) for _ in range(drawn.randrange(6))]
        seen.forget(now)
        oldest = (now - WINDOW).replace(minute=0)  # forgotten by whole hours
        known = {key: at for key, at in known.items() if at >= oldest}
        if seen.take(b"".join(keys), now):
            assert len(set(keys)) == len(keys)
            assert known.keys().isdisjoint(keys)
            taken += 1
            if drawn.random() < 0.3:
                seen.drop(b"".join(keys))  # it could not be stored
            else:
                known |= dict.fromkeys(keys, now)
        else:
            refused += 1
        assert len(seen) == len(known)
        assert all(key in seen for key in known)
        assert [key in seen for key in keys] == [key in known for key in keys]
    assert taken > 500
    assert refused > 20


def test_rows_of_the_log_are_learned_once():
    seen, made = Seen(WINDOW), random.Random(2)
    keys = [made.randbytes(8) for _ in range(50)]
    rows = [(3, NOW, b"".join(keys[:30])), (7, NOW, b"".join(keys[20:]))]
    seen.learn(rows)
    seen.learn(rows)
    assert (len(seen), seen.position) == (50, 7)
    assert all(key in seen for key in keys)


def test_an_id_costs_less_than_twenty_five_bytes():
    made, count = random.Random(3), 200_000
    seen = Seen(WINDOW)
    for _ in range(count // 1000):
        seen.add(made.randbytes(8000), NOW)
    held = [seen._drawers, *filter(None, seen._drawers)]
    assert sum(map(sys.getsizeof, held)) / count < 25  # a set of them takes a hundred
