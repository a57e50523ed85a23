"""Encoded queries: what a list is narrowed to, with the parts that an instance silently ignores."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from tests.standins.servicenow.words import INSTANTS

STAMP = "%Y-%m-%d %H:%M:%S"
OPERATORS = (
    "ISNOTEMPTY", "ISEMPTY", "NOT IN", "NOT LIKE", "STARTSWITH", "ENDSWITH", "BETWEEN", "LIKE",
    "!=", ">=", "<=", "IN", "=", ">", "<",
)  # fmt: skip
_GENERATED = re.compile(r"^javascript:gs\.dateGenerate\('([\d-]+)','([\d:]+)'\)$")
_FIELD = re.compile(r"^[a-z0-9_.]+")

Value = Callable[[str], str | None]  # the value of a field, dot-walked; None: no such field


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of a field."""

    field: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Query:
    """Any of ``groups``; a group is all of its clauses; a clause is any of its conditions."""

    groups: tuple[tuple[tuple[Condition, ...], ...], ...]
    order: tuple[tuple[str, bool], ...]  # field, whether descending


def parse(text: str) -> Query:
    """Read an encoded query; nonsense becomes a condition on a field that does not exist."""
    groups: list[tuple[tuple[Condition, ...], ...]] = []
    order: list[tuple[str, bool]] = []
    for part in text.split("^NQ"):
        clauses: list[tuple[Condition, ...]] = []
        for piece in (p for p in part.split("^") if p):
            if piece.startswith("ORDERBYDESC"):
                order.append((piece.removeprefix("ORDERBYDESC"), True))
            elif piece.startswith("ORDERBY"):
                order.append((piece.removeprefix("ORDERBY"), False))
            elif piece.startswith("OR") and clauses:
                clauses[-1] = (*clauses[-1], _condition(piece.removeprefix("OR")))
            elif piece != "EQ":
                clauses.append((_condition(piece),))
        groups.append(tuple(clauses))
    return Query(tuple(groups), tuple(order))


def _condition(piece: str) -> Condition:
    found = _FIELD.match(piece)
    name = found.group() if found else ""
    rest = piece[len(name) :]
    for operator in OPERATORS:
        if rest.startswith(operator):
            return Condition(name, operator, rest[len(operator) :])
    return Condition("", "", piece)


def matches(query: Query, value: Value, *, zone: str, strict: bool) -> bool:
    """Whether a record fits; ``strict`` lets an invalid part match nothing instead of all."""
    return any(
        all(_clause(clause, value, zone=zone, strict=strict) for clause in group)
        for group in query.groups
    )


def _clause(clause: Sequence[Condition], value: Value, *, zone: str, strict: bool) -> bool:
    valid = [one for one in clause if one.operator and value(one.field) is not None]
    if len(valid) < len(clause) and strict:
        return False
    return not valid or any(_holds(one, value(one.field) or "", zone) for one in valid)


def _holds(one: Condition, found: str, zone: str) -> bool:
    if one.field.rpartition(".")[2] in INSTANTS:
        return _instant_holds(one, found, zone)
    wanted = one.value
    plain: dict[str, Callable[[], bool]] = {
        "=": lambda: found == wanted,
        "!=": lambda: found != wanted,
        "IN": lambda: found in wanted.split(","),
        "NOT IN": lambda: found not in wanted.split(","),
        "LIKE": lambda: wanted in found,
        "NOT LIKE": lambda: wanted not in found,
        "STARTSWITH": lambda: found.startswith(wanted),
        "ENDSWITH": lambda: found.endswith(wanted),
        "ISEMPTY": lambda: not found,
        "ISNOTEMPTY": lambda: bool(found),
        "BETWEEN": lambda: _between(found, wanted),
    }
    if one.operator in plain:
        return plain[one.operator]()
    return _ordered(one.operator, *_comparable(found, wanted))


def _between(found: str, wanted: str) -> bool:
    low, _, high = wanted.partition("@")
    return _ordered(">=", *_comparable(found, low)) and _ordered("<=", *_comparable(found, high))


def _comparable(left: str, right: str) -> tuple[str, str]:
    if left.isdecimal() and right.isdecimal():
        return left.zfill(20), right.zfill(20)
    return left, right


def _ordered(operator: str, left: str, right: str) -> bool:
    return {
        ">": left > right, ">=": left >= right, "<": left < right, "<=": left <= right,
    }[operator]  # fmt: skip


def _instant_holds(one: Condition, found: str, zone: str) -> bool:
    if one.operator == "ISEMPTY":
        return not found
    if one.operator == "ISNOTEMPTY":
        return bool(found)
    low, _, high = one.value.partition("@")
    wanted = in_utc(low, zone)
    if wanted is None:
        return True  # a literal that cannot be read is ignored like a wrong field
    match one.operator:
        case "=":
            return found == wanted
        case "!=":
            return found != wanted
        case "BETWEEN":
            return wanted <= found <= (in_utc(high, zone) or "9")
        case ">" | ">=" | "<" | "<=":
            return bool(found) and _ordered(one.operator, found, wanted)
        case _:
            return True


def in_utc(literal: str, zone: str) -> str | None:
    """Read a literal as the user's session does: in the user's time zone."""
    generated = _GENERATED.match(literal)
    text = f"{generated[1]} {generated[2]}" if generated else literal
    if len(text) == len("2026-03-16"):
        text += " 00:00:00"
    try:
        local = datetime.strptime(text, STAMP).replace(tzinfo=ZoneInfo(zone))
    except ValueError:
        return None
    return local.astimezone(UTC).strftime(STAMP)
