"""Every error that a caller may meet has a status and a sentence."""

from collections.abc import Iterator

from app.api.problems import STATUS
from app.core.errors import AppError


def below(kind: type[AppError]) -> Iterator[type[AppError]]:
    for child in kind.__subclasses__():
        if child.__module__.startswith("app."):
            yield child
            yield from below(child)


def test_every_error_has_a_status() -> None:
    assert set(below(AppError)) - set(STATUS) == set()


def test_every_error_has_a_sentence() -> None:
    without = [kind.__name__ for kind in below(AppError) if not kind.title.endswith(".")]
    assert without == []
