"""What a demo must have shown: checks of the public record against the story, each a sentence."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.demo.story import Story

Document = dict[str, Any]

SETTLED = frozenset({"resolved", "closed"})
ABOUT_ONESELF = "subscription."  # news about a subscription is not sent to itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One expectation: a sentence, whether it was met, and what was found."""

    sentence: str
    met: bool
    found: str = ""


@dataclass(slots=True, kw_only=True)
class Record:
    """What was seen through the public doors: events, incidents, and what the receiver got.

    ``events`` are envelopes in order of the feed; ``incidents`` their last state by id;
    ``received`` the receiver's attempts in order; ``reported`` the reporters' own count.
    """

    events: list[Document] = field(default_factory=list)
    incidents: dict[str, Document] = field(default_factory=dict)
    received: list[Document] = field(default_factory=list)
    reported: Document = field(default_factory=dict)

    def of(self, incident: str) -> list[Document]:
        """List the events of one incident, in order."""
        return [event for event in self.events if _incident(event).get("id") == incident]

    def undelivered(self) -> list[str]:
        """List the ids of incident events that the receiver neither got nor got superseded."""
        got = {item["id"] for item in self.received if item["status"] == 204}  # noqa: PLR2004
        got |= {other for item in self.received for other in item["superseded"]}
        return [event["id"] for event in self.events if _is_due(event) and event["id"] not in got]


def judge(story: Story, record: Record) -> list[Check]:
    """Hold the record against the story."""
    vendor = _vendor_incidents(story, record)
    main = vendor[0] if vendor else {}
    return [
        *_one_incident(story, vendor, record),
        *_course(story, main, record),
        *_deliveries(record),
        _reports(record),
    ]


def main_incident(story: Story, record: Record) -> Document | None:
    """Give the incident that the story is about, once there is one."""
    found = _vendor_incidents(story, record)
    return found[0] if found else None


def _vendor_incidents(story: Story, record: Record) -> list[Document]:
    wanted = story.expect["service"]
    found = [
        item
        for item in record.incidents.values()
        if item["origin"] == "vendor" and wanted in item["services"]
    ]
    return sorted(found, key=lambda item: (not item["advisories"], item["number"]))


def _one_incident(story: Story, vendor: list[Document], record: Record) -> list[Check]:
    numbers = ", ".join(item["number"] for item in vendor) or "none"
    linked = [item["id"] for item in vendor[0]["advisories"]] if vendor else []
    before = story.expect["local_before"]
    local = [item for item in record.incidents.values() if _opened_at(record, item["id"]) < before]
    blamed = [item["number"] for item in local if item["origin"] == "vendor"]
    shown = ", ".join(f"{item['number']} ({item['origin']})" for item in local) or "none opened"
    return [
        Check(
            sentence=f"There is exactly one vendor incident for {story.expect['service']}.",
            met=len(vendor) == 1,
            found=numbers,
        ),
        Check(
            sentence=f"{story.expect['advisory']} is linked to it, and nothing else is.",
            met=linked == [story.expect["advisory"]],
            found=", ".join(linked) or "nothing",
        ),
        Check(
            sentence="The local fault of one office became no vendor incident.",
            met=not blamed,
            found=shown,
        ),
    ]


def _course(story: Story, main: Document, record: Record) -> list[Check]:
    want = story.expect
    events = record.of(main.get("id", ""))
    opened = next((event for event in events if event["type"] == "incident.opened"), None)
    opened_at = _at(opened["occurred_at"]) if opened else None
    confirmed_at, resolved_at = _at(main.get("confirmed_at")), _at(main.get("resolved_at"))
    lead = main.get("lead_time_seconds")
    ahead = _ahead_at(events)
    types = [event["type"] for event in events]
    return [
        Check(
            sentence=f"It was opened as suspected before {want['opened_before']:%H:%M}.",
            met=opened is not None
            and _incident(opened)["status"] == "suspected"
            and opened_at is not None
            and opened_at < want["opened_before"],
            found=f"{_clock(opened_at)} {_incident(opened or {}).get('status', '')}".strip(),
        ),
        Check(
            sentence=f"It was confirmed before Microsoft's post of {want['published_at']:%H:%M}.",
            met=confirmed_at is not None and confirmed_at < want["published_at"],
            found=_clock(confirmed_at),
        ),
        Check(
            sentence="The lead over Microsoft was measured and is positive.",
            met=lead is not None and lead > 0,
            found="not measured" if lead is None else f"{lead / 60:.0f} min",
        ),
        Check(
            sentence="It was mitigating while the change was rolled back.",
            met="incident.mitigating" in types,
            found=_clock(_at(main.get("mitigated_at"))),
        ),
        Check(
            sentence="While Microsoft said restored and London failed, it showed vendor_ahead.",
            met=any(want["restored_said_at"] <= at <= want["all_clean_at"] for at in ahead),
            found=", ".join(_clock(at) for at in ahead) or "never",
        ),
        Check(
            sentence=f"It was resolved between {want['all_clean_at']:%H:%M} "
            f"and {want['resolved_before']:%H:%M}.",
            met=resolved_at is not None
            and want["all_clean_at"] <= resolved_at <= want["resolved_before"],
            found=_clock(resolved_at),
        ),
        Check(
            sentence="The late post-incident report did not reopen it.",
            met=main.get("status") in SETTLED and "incident.reopened" not in types,
            found=main.get("status", "no incident"),
        ),
    ]


def _deliveries(record: Record) -> list[Check]:
    bad = [item for item in record.received if not item["valid"] and item["status"] != 503]  # noqa: PLR2004
    taken = [item for item in record.received if item["status"] == 204]  # noqa: PLR2004
    missing = record.undelivered()
    orders: dict[str, list[int]] = defaultdict(list)
    for item in taken:
        if item["incident"]:
            orders[item["incident"]].append(item["sequence"])
    disordered = [incident for incident, order in orders.items() if order != sorted(set(order))]
    refused_once = all(item["attempt"] > 1 for item in taken)
    return [
        Check(
            sentence="The receiver got every event, by itself or superseded by a newer one.",
            met=bool(taken) and not missing,
            found=f"{len(taken)} taken, {len(missing)} missing",
        ),
        Check(
            sentence="Every signature was valid.",
            met=bool(taken) and not bad,
            found=f"{len(bad)} bad" + (f", first: {bad[0]['problem']}" if bad else ""),
        ),
        Check(
            sentence="The events of each incident came in order.",
            met=bool(taken) and not disordered,
            found=", ".join(disordered) or f"{len(orders)} incidents in order",
        ),
        Check(
            sentence="The refused first attempts were retried.",
            met=bool(taken) and refused_once,
            found=f"{sum(item['status'] == 503 for item in record.received)} refused",  # noqa: PLR2004
        ),
    ]


def _reports(record: Record) -> Check:
    sent, taken = record.reported.get("sent", 0), record.reported.get("accepted", 0)
    refused = record.reported.get("refused", [])
    return Check(
        sentence="Every client report was accepted.",
        met=sent > 0 and not refused and sent == taken + record.reported.get("duplicates", 0),
        found=f"{taken} of {sent}" + (f"; first refusal: {refused[0]}" if refused else ""),
    )


def _ahead_at(events: Iterable[Document]) -> list[datetime]:
    """List when each stretch of ``vendor_ahead`` began."""
    began: list[datetime] = []
    was = ""
    for event in events:
        now = _incident(event).get("disagreement", "")
        if now == "vendor_ahead" != was:
            began.append(datetime.fromisoformat(event["occurred_at"]))
        was = now
    return began


def _opened_at(record: Record, incident: str) -> datetime:
    events = record.of(incident)
    return datetime.fromisoformat(
        events[0]["occurred_at"] if events else record.incidents[incident]["updated_at"]
    )


def _is_due(event: Document) -> bool:
    return not event["type"].startswith(ABOUT_ONESELF) and bool(_incident(event))


def _incident(event: Document) -> Document:
    found: Document = (event.get("data") or {}).get("incident") or {}
    return found


def _at(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _clock(at: datetime | None) -> str:
    return "never" if at is None else f"{at:%H:%M}"
