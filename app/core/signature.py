"""The healthy signature of a check: what its good answers look like, learned, never written down.

Vendors change redirects, challenges and banners without notice. So the aspects of each answer (its
status, where it leads, its challenge, its issuer …) are counted over the first day; an aspect that
takes few values belongs to the signature, one that varies is left out. From then on an answer that
differs is a departure: the service answered, though not as it did when it was well.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

LEARNING = timedelta(hours=24)  # how long answers are collected
LEAST = 20  # answers that make a signature, so that an hourly check learns longer
VARIETY = 4  # values of one aspect beyond which it says nothing
SHARE = 0.01  # a value seen in a smaller share of the answers was chance
WORD_LIMIT = 200  # characters of a value


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What was learned of one check at one location.

    ``counts`` maps aspect → value → answers that showed it; it grows until ``learned_at``.
    ``departed`` maps aspect → value of the newest answer that differed, since ``departed_at``.
    """

    began_at: datetime | None = None
    learned_at: datetime | None = None
    answers: int = 0
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    departed: Mapping[str, str] = field(default_factory=dict)
    departed_at: datetime | None = None

    @property
    def expects(self) -> dict[str, tuple[str, ...]]:
        """Aspect → its healthy values, sorted; so far, while it is still being learned."""
        expected = {}
        for aspect, values in sorted(self.counts.items()):
            usual = sorted(v for v, n in values.items() if n >= SHARE * self.answers)
            if 0 < len(usual) <= VARIETY and sum(values.values()) == self.answers:
                expected[aspect] = tuple(usual)
        return expected

    @property
    def learned(self) -> dict[str, tuple[str, ...]] | None:
        """What is held against an answer; None while it is being learned."""
        return None if self.learned_at is None else self.expects


def departures(expects: Mapping[str, tuple[str, ...]], answer: Mapping[str, str]) -> dict[str, str]:
    """The aspects of an answer that differ from what is expected, as aspect → its value now."""
    return {
        aspect: answer.get(aspect, "absent")
        for aspect, usual in expects.items()
        if answer.get(aspect) not in usual
    }


def learn(signature: Signature, answer: Mapping[str, str], at: datetime) -> Signature:
    """Take in the answer of one healthy or plausible run, measured at an instant."""
    if signature.learned_at is not None:
        return _compared(signature, answer, at)
    began_at = signature.began_at or at
    counts = {aspect: dict(values) for aspect, values in signature.counts.items()}
    for aspect, value in answer.items():
        values = counts.setdefault(aspect, {})
        if value in values or len(values) <= VARIETY:  # one more tells that it varies
            values[value] = values.get(value, 0) + 1
    answers = signature.answers + 1
    is_learned = at - began_at >= LEARNING and answers >= LEAST
    return replace(
        signature,
        began_at=began_at,
        learned_at=at if is_learned else None,
        answers=answers,
        counts=counts,
    )


def _compared(signature: Signature, answer: Mapping[str, str], at: datetime) -> Signature:
    found = departures(signature.expects, answer)
    since = signature.departed_at or at if found else None
    return replace(signature, departed=found, departed_at=since)
