"""Walls between tenants: whose rows a unit of work may touch, told to PostgreSQL before it runs.

Every query names its tenant; this is the second wall behind a query that forgot to. The policies
of the tables (migration 0010) show and take only rows of the tenants named here, unless the
database is entered as a superuser, whom PostgreSQL lets through everything.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

EVERYBODY = "*"  # what the house does by itself is done for all tenants
SETTING = "sextant.tenants"  # of PostgreSQL; tenant ids by commas, or EVERYBODY

_within: ContextVar[str] = ContextVar("within", default=EVERYBODY)


def stand_within(tenants: Iterable[str]) -> None:
    """Let the rest of this task touch rows of these tenants alone."""
    _within.set(",".join(tenants))


def standing_within() -> str:
    """The tenants that this task may touch, as the setting takes them."""
    return _within.get()


@contextmanager
def for_everybody() -> Iterator[None]:
    """Leave the walls for what is done for all tenants at once, such as filling a shared cache."""
    token = _within.set(EVERYBODY)
    try:
        yield
    finally:
        _within.reset(token)
