"""The operator's pages: receivers, one receiver, one delivery, tickets, probes, audit."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from app.core.catalogue import SERVICES
from app.web.actview import delivery_view, ticket_view
from app.web.bands import band_of
from app.web.page import Frame
from app.web.views import Document, When, when
from app.web.words import (
    ATTEMPT,
    CONDITION,
    LINK_STATE,
    REPLAY_SELECT,
    SEVERITIES,
    SUBSCRIPTION_STATE,
    SYMPTOM,
    service_name,
    word,
)

DAY = timedelta(days=1)
TYPES = {
    "*": "Everything",
    "incident.*": "Incidents",
    "source.*": "Sources that cannot be read",
    "subscription.*": "Receivers in trouble",
    "link.*": "Tickets in conflict",
}
BLANK: Document = {
    "id": "", "revision": 0, "url": "", "description": "", "event_types": ["*"], "services": [],
    "min_severity": "", "format": "native", "detail": "full", "signing": "v1",
}  # fmt: skip
TONES = {"active": "healthy", "failing": "failing", "disabled": "failing", "unverified": "degraded"}
HELP = {
    "unverified": "It gets nothing but a ping until it has answered one with 2xx.",
    "failing": "Its newest deliveries failed; they are tried again by the schedule.",
    "disabled": "It was paused or given up, or said that it is gone. A ping that is answered "
    "revives it; what it missed can be replayed.",
}

# An instant of a document, of which the seconds are enough.
INSTANT = re.compile(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:00)$")


def receivers_page(frame: Frame, *, receivers: Sequence[Document]) -> str:
    """Render the list of receivers."""
    shown = [_receiver(frame, one) for one in receivers]
    return frame.render("receivers.html", here="receivers", receivers=shown, choice=_choice(BLANK))


def secret_page(frame: Frame, *, heading: str, receiver: Document, secret: str) -> str:
    """Render what a receiver verifies with; it is shown this once."""
    return frame.render(
        "secret.html", here="receivers", live=False, heading=heading, one=receiver, secret=secret
    )


def _choice(one: Document) -> dict[str, Any]:
    """What the form of a receiver offers, and what of it is chosen."""
    named = {**TYPES, **{kind: kind for kind in one["event_types"] if kind not in TYPES}}
    services = sorted(((s.slug, s.name) for s in SERVICES), key=lambda pair: pair[1])
    return {
        "one": one,
        "types": [(kind, words, kind in one["event_types"]) for kind, words in named.items()],
        "services": [(slug, name, slug in one["services"]) for slug, name in services],
        "severities": SEVERITIES,
    }


def _receiver(frame: Frame, one: Document) -> dict[str, Any]:
    wants = [
        ", ".join(one["event_types"]) if one["event_types"] != ["*"] else "every event",
        ", ".join(service_name(slug) for slug in one["services"]),
        f"from {one['min_severity']}" if one["min_severity"] else "",
        ", ".join(one["statuses"]),
        ", ".join(one["regions"]),
        ", ".join(one["labels"]),
    ]
    return {
        **one,
        "label": word(SUBSCRIPTION_STATE, one["state"]),
        "tone": TONES.get(one["state"], "unknown"),
        "help": HELP.get(one["state"], ""),
        "wants": " · ".join(part for part in wants if part),
        "created": when(one["created_at"], frame.now),
        "verified": when(one["verified_at"], frame.now),
        "failing": when(one["failing_since"], frame.now),
        "paused": when(one["open_until"], frame.now),
    }


def receiver_page(
    frame: Frame,
    *,
    receiver: Document,
    deliveries: Sequence[Document],
    replays: Sequence[Document],
    after: str | None,
    chosen: str,
) -> str:
    """Render one receiver: its health, its deliveries, its replays and the form for another."""
    query = {**({"state": chosen} if chosen else {}), "after": after or ""}
    return frame.render(
        "receiver.html",
        here="receivers",
        one=_receiver(frame, receiver),
        choice=_choice(receiver),
        deliveries=[delivery_view(item, frame.now) for item in deliveries],
        replays=[_replay(frame, job) for job in replays],
        chosen=chosen,
        next_page=f"/receivers/{receiver['id']}?{urlencode(query)}" if after else "",
        selects=list(REPLAY_SELECT.items()),
        since=_field(frame, -DAY),
        until=_field(frame, timedelta(0)),
    )


def _field(frame: Frame, by: timedelta) -> str:
    """What a field for date and time holds at first."""
    return (frame.now + by).strftime("%Y-%m-%dT%H:%M")


def _replay(frame: Frame, job: Document) -> dict[str, Any]:
    return {
        **job,
        "what": word(REPLAY_SELECT, job["select"]),
        "from": when(job["since"], frame.now),
        "to": when(job["until"], frame.now),
        "created": when(job["created_at"], frame.now),
        "running": job["state"] in {"planning", "sending"},
    }


def delivery_page(frame: Frame, *, delivery: Document, attempts: Sequence[Document]) -> str:
    """Render one delivery with every attempt and what it met."""
    return frame.render(
        "delivery.html",
        here="receivers",
        one=delivery_view(delivery, frame.now),
        event_id=delivery["event"],
        superseded_by=delivery.get("superseded_by"),
        attempts=[
            {
                **attempt,
                "at": when(attempt["at"], frame.now),
                "label": word(ATTEMPT, attempt["outcome"]),
                "tone": "healthy" if attempt["outcome"] == "delivered" else "failing",
                "took": f"{attempt['duration_ms']:,.0f} ms",
                "parts": _parts(attempt["phases"]),
            }
            for attempt in attempts
        ],
    )


def _parts(phases: Document) -> str:
    return ", ".join(
        f"{name.removesuffix('_ms').replace('_', ' ')} {value:,.0f} ms"
        for name, value in phases.items()
        if value is not None
    )


def tickets_page(
    frame: Frame, *, tickets: Sequence[Document], chosen: str, after: str | None
) -> str:
    """Render the tickets; those in conflict say why."""
    query = {**({"state": chosen} if chosen else {}), "after": after or ""}
    return frame.render(
        "links.html",
        here="tickets",
        tickets=[ticket_view(one, frame.now) for one in tickets],
        chosen=chosen,
        states=list(LINK_STATE.items()),
        next_page=f"/tickets?{urlencode(query)}" if after else "",
    )


def probes_page(frame: Frame, *, probes: Sequence[Document]) -> str:
    """Render the checks, each with its band of usual latency."""
    return frame.render("probes.html", here="probes", probes=[_probe(frame, one) for one in probes])


def _probe(frame: Frame, one: Document) -> dict[str, Any]:
    since: When | None = when(one.get("failing_since"), frame.now)
    said = [
        "stale: no result when one was due" if one.get("stale") else "",
        word(SYMPTOM, one.get("symptom")),
        f"failing since {since.short}" if since else "",
        str(one.get("error") or "")[:200],
    ]
    latency, usual = one.get("latency_ms"), one.get("usual_ms")
    return {
        **one,
        "service": service_name(one.get("service") or "other"),
        "label": word(CONDITION, one["condition"]),
        "at": when(one.get("last_at"), frame.now),
        "detail": " · ".join(part for part in said if part),
        "latency": f"{latency:,.0f} ms" if latency is not None else "",
        "usual": f"usually {usual:,.0f} ms" if usual is not None else "still learning",
        "band": band_of(one["hours"], hour=one["hour"], latency_ms=latency),
    }


def audit_page(
    frame: Frame,
    *,
    entries: Sequence[Document],
    after: str | None,
    target: str,
    actor: str,
) -> str:
    """Render a page of the audit log."""
    asked = {name: value for name, value in (("target", target), ("actor", actor)) if value}
    return frame.render(
        "audit.html",
        here="audit",
        entries=[
            {
                **one,
                "at": when(one["at"], frame.now),
                "what": str(one["action"]).replace("_", " "),
                "changes": changes_of(one["before"], one["after"]),
                "link": _link(one["target"]),
            }
            for one in entries
        ],
        target=target,
        actor=actor,
        filtered=bool(asked),
        next_page=f"/audit?{urlencode({**asked, 'after': after})}" if after else "",
    )


def changes_of(before: Document, after: Document) -> list[tuple[str, str, str]]:
    """What an entry of the audit log changed: name, from, to; empty for nothing."""
    names = sorted((before.keys() | after.keys()) - {"revision"})
    return [
        (name.replace("_", " "), _short(before.get(name)), _short(after.get(name)))
        for name in names
        if before.get(name) != after.get(name)
    ]


def _plain(value: Any) -> str:
    """A value of the log as people write it; empty for one that says nothing."""
    match value:
        case None | "":
            return ""
        case bool():
            return "yes" if value else "no"
        case dict():
            said = {name.replace("_", " "): _plain(one) for name, one in sorted(value.items())}
            return ", ".join(f"{name} {words}" for name, words in said.items() if words)
        case list():
            return ", ".join(_plain(one) for one in value)
        case str():
            return INSTANT.sub(r"\1 \2 UTC", value)
        case _:
            return str(value)


def _short(value: Any) -> str:
    text = _plain(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


LONGEST = 120  # characters of a value


def _link(target: str) -> str:
    for prefix, place in (("inc_", "incidents"), ("sub_", "receivers"), ("dlv_", "deliveries")):
        if target.startswith(prefix):
            return f"/{place}/{target}"
    return ""
