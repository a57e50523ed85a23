"""View models of incidents: what a page shows, from documents to words; pure."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.web.times import ago, instant, iso, near, span, stamp
from app.web.words import (
    ADVISORY_STATUS,
    DISAGREEMENT,
    IMPACT,
    ORIGIN,
    RESOLUTION,
    SOURCE,
    STATUS,
    listing,
    plural,
    service_name,
    word,
)

Document = dict[str, Any]

_WEIGHT = re.compile(r",? ?\(?[+-][\d.]+\)$|\s*\([+-][\d.]+\)$")  # stands beside the line already
ENDED = frozenset({"resolved", "closed", "dismissed", "merged"})
RESOLVABLE = frozenset({"suspected", "confirmed", "mitigating", "monitoring"})


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """An instant as shown: machine form, short form, full form and how long ago."""

    iso: str
    short: str
    full: str
    ago: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One labelled value of the headline. ``tone`` colours it; ``note`` stands below it."""

    label: str
    value: str
    note: str = ""
    tone: str = ""
    when: When | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """One line of the explanation. ``share`` is its bar, 0 to 100."""

    text: str
    rule: str
    source: str
    supports: bool
    weight: str
    share: float
    when: When
    evidence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """An incident as lists show it."""

    id: str
    number: str
    title: str
    status: str
    status_label: str
    severity: str
    services: str
    origin: str
    since: When
    duration: str
    lead: str
    lead_kind: str
    reporters: str
    locations: str
    disagreement: str
    acknowledged: str
    is_open: bool
    resolution: str
    why: str = ""


def when(value: str | datetime | None, now: datetime) -> When | None:
    """Show an instant of a document, or None."""
    at = instant(value)
    if at is None:
        return None
    return When(iso=iso(at), short=near(at, now), full=stamp(at), ago=ago(at, now))


def surely(value: str | datetime | None, now: datetime) -> When:
    """Show an instant of a document, or the present one where there is none."""
    return when(value, now) or when(now, now) or When(iso="", short="", full="", ago="")


def since(incident: Document) -> str | None:
    """The moment from which an incident counts: first signal, else what stands nearest to it."""
    keys = (
        "first_signal_at",
        "detected_at",
        "vendor_started_at",
        "vendor_published_at",
        "confirmed_at",
        "updated_at",
    )
    return next((str(incident[key]) for key in keys if incident.get(key)), None)


def duration(incident: Document, now: datetime) -> str:
    """How long an incident has lasted, or lasted."""
    begin = instant(since(incident))
    over = incident.get("resolved_at") or incident.get("closed_at")
    if over is None and incident["status"] in ENDED:
        over = incident.get("updated_at")
    end = instant(over) if incident["status"] in ENDED else now
    if begin is None:
        return ""
    # Counted from the minute that is shown, so that a reader who subtracts gets the same.
    return span(((end or now) - begin.replace(second=0, microsecond=0)).total_seconds())


def lead(incident: Document, now: datetime) -> tuple[str, str]:
    """The lead time in few words and its kind: ahead, behind, silent or none."""
    seconds = incident.get("lead_time_seconds")
    if seconds is not None:
        ahead = seconds >= 0
        return f"{'+' if ahead else '−'}{span(seconds)}", "ahead" if ahead else "behind"  # noqa: RUF001
    detected = instant(incident.get("detected_at"))
    if detected is None:
        return "vendor only", "none"
    if incident.get("origin") not in {"vendor", "unknown"}:
        return "not Microsoft’s", "none"  # noqa: RUF001 - typography of the page
    if incident["status"] in ENDED:
        return "vendor silent", "silent"
    return f"+{span((now - detected).total_seconds())} so far", "silent"


def card(incident: Document, now: datetime) -> Card:
    """Show an incident in a list."""
    words, kind = lead(incident, now)
    impact = incident.get("impact") or {}
    total = impact.get("locations_total") or 0
    disagreement = DISAGREEMENT.get(incident.get("disagreement") or "none", ("", ""))[0]
    return Card(
        id=incident["id"],
        number=incident["number"],
        title=incident["title"],
        status=incident["status"],
        status_label=word(STATUS, incident["status"]),
        severity=incident["severity"],
        services=listing([service_name(slug) for slug in incident.get("services") or []]),
        origin=word(ORIGIN, incident.get("origin")),
        since=surely(since(incident), now),
        duration=duration(incident, now),
        lead=words,
        lead_kind=kind,
        reporters=plural(impact.get("reporters") or 0, "reporter"),
        locations=f"{impact.get('locations_failing') or 0}/{total} locations" if total else "",
        disagreement=disagreement,
        acknowledged=_acknowledged(incident),
        is_open=incident["status"] not in ENDED,
        resolution=word(RESOLUTION, incident.get("resolution")),
        why=why(incident),
    )


def why(incident: Document) -> str:
    """One sentence of why: the weightiest line of each witness, at most two of them."""
    lines = [
        line
        for line in incident.get("explanation") or []
        if line["effect"] == "+" and line.get("source") and line["weight"]
    ]
    lines.sort(key=lambda line: -line["weight"])
    best: dict[str, str] = {}
    for line in lines:
        best.setdefault(line["source"], _WEIGHT.sub("", line["text"]))
    said = "; ".join(list(best.values())[:2])
    if not said and incident.get("advisories") and not incident.get("detected_at"):
        said = "Microsoft reports it, and we see nothing of it ourselves"
    return f"{said[0].upper()}{said[1:]}." if said else ""


def _acknowledged(incident: Document) -> str:
    known = incident.get("acknowledged")
    if not known:
        return ""
    return str(known.get("by") or "someone") if isinstance(known, dict) else "someone"


def facts(incident: Document, now: datetime) -> tuple[Fact, ...]:
    """The strip of facts below the headline."""
    words, kind = lead(incident, now)
    impact = incident.get("impact") or {}
    over = incident["status"] in ENDED
    tone = {"ahead": "good", "silent": "warn", "behind": "", "none": ""}[kind]
    published = when(incident.get("vendor_published_at"), now)
    percent = f"{min(99, round((incident.get('confidence') or 0) * 100))} %"  # never certain
    total = impact.get("locations_total") or 0
    places = f"{impact.get('locations_failing') or 0} of {total} locations failing" if total else ""
    begin = surely(since(incident), now)
    return (
        Fact(
            label="Lasted" if over else "Since",
            value=duration(incident, now),
            note=f"from {begin.short} UTC",
            when=begin,
        ),
        Fact(
            label="Lead time",
            value=words,
            tone=tone,
            note=f"Microsoft published {published.short}" if published else _silence(incident),
            when=published,
        ),
        Fact(
            label="Affected",
            value=plural(impact.get("reporters") or 0, "reporter"),
            note=f"{plural(impact.get('reports') or 0, 'report')}, "
            f"{word(IMPACT, impact.get('level'))}",
        ),
        Fact(
            label="Probes",
            value=places or "no probe evidence",
            note=_weight_note(incident, "probe"),
        ),
        Fact(
            label="Origin",
            value=word(ORIGIN, incident.get("origin")),
            note=(incident.get("cause") or {}).get("text") or "",
        ),
        Fact(label="Confidence", value=percent, note=incident.get("confidence_label") or ""),
    )


def _silence(incident: Document) -> str:
    if incident.get("origin") not in {"vendor", "unknown"}:
        return "no advisory expected"
    return "nothing published by Microsoft"


def _weight_note(incident: Document, source: str) -> str:
    share = (incident.get("evidence") or {}).get(source) or {}
    return plural(share["count"], "failed result") if share.get("count") else ""


def grounds(incident: Document, now: datetime) -> tuple[Ground, ...]:
    """The explanation: what speaks for it first, each by weight."""
    lines = incident.get("explanation") or []
    greatest = max((abs(line["weight"]) for line in lines), default=0.0) or 1.0
    ordered = sorted(lines, key=lambda line: (line["effect"] != "+", -abs(line["weight"])))
    return tuple(
        Ground(
            text=line["text"],
            rule=str(line["reason"]).replace("_", " "),
            source=word(SOURCE, line.get("source")) or "Engine",
            supports=line["effect"] == "+",
            weight=_signed(line),
            share=round(100 * abs(line["weight"]) / greatest, 1),
            when=surely(line.get("at"), now),
            evidence=_behind(incident, line.get("source")),
        )
        for line in ordered
    )


def _behind(incident: Document, source: str | None) -> str:
    """Where the evidence behind a line is shown."""
    if source == "advisory":
        return "#posts"
    if source in {"probe", "client_report"}:
        return f"/incidents/{incident['id']}/evidence?source={source}"
    return ""


def _signed(line: Document) -> str:
    size = f"{abs(line['weight']):.1f}"
    if size == "0.0":  # a line that explains without weighing
        return "·"
    return f"{'+' if line['effect'] == '+' else '−'}{size}"  # noqa: RUF001 - a true minus


def advisory_words(advisory: Document) -> str:
    """The vendor's status of an advisory, as read by people."""
    return word(ADVISORY_STATUS, advisory.get("status"))
