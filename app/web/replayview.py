"""View models of replays: what another policy would have done, side by side; pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from statistics import median
from typing import Any

from app.core.policy import Policy
from app.web.times import instant, near, span
from app.web.views import Document, When, surely, when
from app.web.words import STATUS, listing, plural, service_name, word

# The thresholds of the form: key, what it means to whoever turns it, unit, smallest step.
KNOBS: tuple[tuple[str, str, str, str], ...] = (
    ("quorum_groups", "Independent groups of evidence that confirm", "groups", "1"),
    ("quorum_actors", "People who make one group", "people", "1"),
    ("false_incidents_per_week", "False incidents that are borne", "per week", "any"),
    ("null_inflation", "Caution: the usual rate of reports, times this", "times", "any"),
    ("reports_per_user_hour", "Usual reports before any are learned", "per user and hour", "any"),
    ("probe_down_after", "Failed minutes until a check is down", "minutes", "1"),
    ("probe_up_after", "Clean minutes until a check is up", "minutes", "1"),
    ("attach_threshold", "Likeness at which an advisory joins", "0 to 1", "any"),
    ("common_cause_minutes", "Onsets so close are one fault", "minutes", "1"),
    ("quiet_minutes", "Quiet until it is resolved", "minutes", "1"),
    ("quiet_minutes_vendor_open", "The same while Microsoft says open", "minutes", "1"),
    ("reopen_minutes", "A relapse in this time reopens", "minutes", "1"),
)
FIELDS = {"detected_at": "detected", "resolved_at": "resolved", "services": "services"}
STATE = {"queued": "Waiting", "running": "Running", "finished": "Finished", "failed": "Failed"}
LEGEND = (
    ("missed", "missed"),
    ("opened", "opened"),
    ("earlier", "earlier"),
    ("later", "later"),
    ("merged", "merged otherwise"),
    ("same", "as it was"),
)
WINDOWS = ((1, "the last day"), (7, "the last 7 days"), (30, "the last 30 days"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """One threshold of the form."""

    key: str
    label: str
    unit: str
    step: str
    present: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One incident as one policy has it; ``id`` is empty where it has no page."""

    id: str
    title: str
    about: str
    told: When | None
    resolved: When | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One difference: the incidents as they were, as they would be, and what that means.

    ``false`` says whether it is a false alarm, and under which of the two.
    """

    kind: str
    label: str
    stored: tuple[Side, ...]
    replayed: tuple[Side, ...]
    verdict: str
    false: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many incidents came out in one way."""

    label: str
    value: str
    note: str


def knobs(policy: Policy, given: Mapping[str, str]) -> tuple[Knob, ...]:
    """The fields of the form, filled with what was given, else with the policy in force."""
    return tuple(
        Knob(
            key=key,
            label=label,
            unit=unit,
            step=step,
            present=f"{getattr(policy, key):g}",
            value=given.get(key, f"{getattr(policy, key):g}"),
        )
        for key, label, unit, step in KNOBS
    )


def changes_of(policy: Policy, given: Mapping[str, str]) -> dict[str, float]:
    """The thresholds that were changed.

    Raises:
        ValueError: one of them is no number; the text names it.
    """
    kinds = {one.name: type(getattr(policy, one.name)) for one in fields(Policy)}
    changed: dict[str, float] = {}
    for key, label, _, _ in KNOBS:
        text = given.get(key, "").strip()
        if not text:
            continue
        try:
            value = float(text)
        except ValueError as error:
            raise ValueError(f"{label}: {text} is no number.") from error
        if f"{value:g}" != f"{getattr(policy, key):g}":
            changed[key] = int(value) if kinds[key] is int and value == int(value) else value
    return changed


def changed_words(policy: Mapping[str, float], present: Policy) -> list[str]:
    """What a replay changed, a sentence for each threshold."""
    labels = {key: (label, unit) for key, label, unit, _ in KNOBS}
    return [
        f"{labels.get(key, (key, ''))[0]}: {value:g} instead of {getattr(present, key, 0):g}"
        for key, value in sorted(policy.items())
    ]


def snippet(policy: Mapping[str, float]) -> str:
    """The lines of the settings that make a tried policy the policy."""
    return "\n".join(["[policy]", *(f"{key} = {value:g}" for key, value in sorted(policy.items()))])


def counts(result: Document) -> tuple[Count, ...]:
    """The strip of figures above the table."""
    before, after = _false(result)
    spared = sum(one["id"] in before for one in result["missed"])
    note = f"{plural(spared, 'of them a false alarm', 'of them false alarms')}" if spared else ""
    return (
        Count(label="Opened", value=str(len(result["opened"])), note="only under this policy"),
        Count(label="Missed", value=str(len(result["missed"])), note=note or "only as it was"),
        Count(label="Earlier", value=str(len(result["earlier"])), note=_usual(result["earlier"])),
        Count(label="Later", value=str(len(result["later"])), note=_usual(result["later"])),
        Count(label="False", value=str(len(after)), note=f"instead of {len(before)} as it was"),
        Count(label="Merged otherwise", value=str(len(result["merged_otherwise"])), note=""),
        Count(label="At the same time", value=str(result["same"]), note=""),
    )


def _usual(shifts: Sequence[Document]) -> str:
    return f"by {span(median(one['seconds'] for one in shifts))}, usually" if shifts else ""


def _false(result: Document) -> tuple[set[str], set[str]]:
    """The ids of the false alarms as it was, and under the other policy."""
    told = result.get("false") or {
        "stored": [one for one in result["missed"] if one["status"] == "dismissed"],
        "replayed": [],
    }
    before, after = ({one["id"] for one in told[side]} for side in ("stored", "replayed"))
    return before, after


def rows(result: Document, now: datetime) -> tuple[Row, ...]:
    """Every incident that came out otherwise, the gravest difference first; then false alarms."""
    before, after = _false(result)
    found = [replace(row, false=_judged(row, before, after)) for row in _rows(result, now)]
    shown = {side.id for row in found for side in (*row.stored, *row.replayed)}
    replayed = {one["id"]: one for one in (result.get("false") or {}).get("replayed", ())}
    for one in (result.get("false") or {}).get("stored", ()):
        if one["id"] not in shown and one["id"] in replayed:
            sides = (_side(one, now),), (_side(replayed[one["id"]], now),)
            row = Row(kind="false", label="False", stored=sides[0], replayed=sides[1],
                      verdict="At the same time.")  # fmt: skip
            found.append(replace(row, false=_judged(row, before, after)))
    return tuple(found)


def _judged(row: Row, before: set[str], after: set[str]) -> str:
    was = any(side.id in before for side in row.stored)
    would = any(side.id in after for side in row.replayed)
    if was:
        return "Still a false alarm" if would else "One false alarm less"
    if would:
        return "One false alarm more"
    return "Nobody has judged it" if row.kind == "opened" else "No"


def _rows(result: Document, now: datetime) -> Iterator[Row]:
    def sides(found: Sequence[Document]) -> tuple[Side, ...]:
        return tuple(_side(one, now) for one in found)

    for one in result["missed"]:
        yield Row(kind="missed", label="Missed", stored=sides([one]), replayed=(),
                  verdict="Would not be opened.")  # fmt: skip
    for one in result["opened"]:
        yield Row(kind="opened", label="Opened", stored=(), replayed=sides([one]),
                  verdict="Would be opened as well.")  # fmt: skip
    for kind, label in (("later", "Later"), ("earlier", "Earlier")):
        for one in sorted(result[kind], key=lambda pair: -pair["seconds"]):
            yield Row(
                kind=kind,
                label=label,
                stored=sides([one["stored"]]),
                replayed=sides([one["replayed"]]),
                verdict=f"{span(one['seconds'])} {kind}",
            )
    for one in result["merged_otherwise"]:
        yield Row(
            kind="merged",
            label="Merged otherwise",
            stored=sides(one["stored"]),
            replayed=sides(one["replayed"]),
            verdict=f"{len(one['stored'])} became {len(one['replayed'])}",
        )
    for one in result["changed"]:
        stored, replayed = one["stored"], one["replayed"]
        told = [_change(name, stored.get(name), replayed.get(name), now) for name in one["fields"]]
        yield Row(kind="changed", label="Otherwise", stored=sides([stored]),
                  replayed=sides([replayed]), verdict="; ".join(told))  # fmt: skip


def _change(name: str, old: Any, new: Any, now: datetime) -> str:
    def shown(value: Any) -> str:
        if value is None:
            return "none"
        if name.endswith("_at"):
            return f"{near(instant(value) or now, now)} UTC"
        if isinstance(value, list):
            return listing([service_name(slug) for slug in value])
        return str(value)

    return f"{FIELDS.get(name, name)} {shown(old)} → {shown(new)}"


def _side(one: Document, now: datetime) -> Side:
    services = listing([service_name(slug) for slug in one["services"]])
    return Side(
        id=one["id"],
        title=one["title"],
        about=f"{services} · {one['severity']} · {word(STATUS, one['status']).lower()}",
        told=when(_first(one), now),
        resolved=when(one["resolved_at"], now),
    )


def _first(one: Document) -> str:
    """When it was told as a fact, as the replay itself counts it."""
    return str(one["confirmed_at"] or one["detected_at"] or one["opened_at"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One incident of the picture; ``lane`` is stored or replayed, ``pair`` its other half."""

    lane: str
    kind: str
    start: datetime
    end: datetime
    title: str
    pair: int


def bars(result: Document, until: datetime) -> tuple[Bar, ...]:
    """The bars of the picture."""
    found: list[Bar] = []

    def add(lane: str, kind: str, one: Document, pair: int) -> None:
        start = instant(_first(one)) or until
        end = max(instant(one["resolved_at"]) or until, start)
        found.append(Bar(lane=lane, kind=kind, start=start, end=min(end, max(until, start)),
                         title=one["title"], pair=pair))  # fmt: skip

    number = 0
    for kind in ("missed", "opened"):
        for one in result[kind]:
            add("stored" if kind == "missed" else "replayed", kind, one, -1)
    for kind in ("earlier", "later"):
        for one in result[kind]:
            add("stored", "same", one["stored"], number)
            add("replayed", kind, one["replayed"], number)
            number += 1
    for one in result["merged_otherwise"]:
        for lane in ("stored", "replayed"):
            for each in one[lane]:
                add(lane, "merged", each, -1)
    return tuple(found)


def job(refold: Document, now: datetime, present: Policy) -> Document:
    """One replay as lists and pages show it."""
    return {
        **refold,
        "label": STATE[refold["state"]],
        "percent": round(100 * refold["progress"]),
        "asked": surely(refold["created_at"], now),
        "window": f"{refold['since']:%-d %b %H:%M} – {refold['until']:%-d %b %H:%M}",  # noqa: RUF001
        "changes": changed_words(refold["policy"], present),
    }
