"""Alertmanager's webhook, version 4, which Grafana, Mimir and VictoriaMetrics speak as well."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

from app.core.errors import UnreadablePayload
from app.core.foreign import Foreign, Hints
from app.sources.intake import frame

VERSION = "4"
LOCATION = "alertmanager"  # of a rule whose labels name no place
# Alertmanager repeats what goes on firing every four hours by default, so its word stands longer.
STANDS = timedelta(hours=5)
MILD = frozenset({"warning", "warn", "info", "informational", "notice", "none", "low"})
PLACES = ("location", "probe", "region", "site", "datacenter", "zone")  # labels, the best first


class Alertmanager:
    """Reads one webhook call: each of its entries becomes one result that stands until changed.

    Unknown members are ignored: version 4 has gained some within the version.
    """

    name = "alertmanager"
    media = frame.JSON

    def read(self, body: bytes, *, hints: Hints, now: datetime) -> Foreign:
        """Read a call.

        Raises:
            UnreadablePayload: it is no Alertmanager webhook of version 4.
        """
        del now
        message = frame.table(frame.decode(body))
        entries = message.get("alerts")
        if not isinstance(entries, list):
            raise UnreadablePayload('An Alertmanager webhook has a list "alerts".')
        version = message.get("version", VERSION)
        if str(version) not in {VERSION, "1"}:  # Grafana says 1
            raise UnreadablePayload(f"Only version {VERSION} of the webhook is read here.")
        found = Foreign()
        for index, entry in frame.records(entries):
            _read_entry(found, index, frame.table(entry), hints)
        cut = message.get("truncatedAlerts")
        if isinstance(cut, int) and cut > 0:
            detail = f"{cut} entries were cut off by max_alerts: raise it, or their end is missed."
            found.refuse(len(entries), detail, "/truncatedAlerts")
        return found


def _read_entry(found: Foreign, index: int, entry: Mapping[str, Any], hints: Hints) -> None:
    labels = frame.table(entry.get("labels"))
    notes = frame.table(entry.get("annotations"))
    status = frame.word(entry.get("status"))
    if status not in {"firing", "resolved"}:
        found.refuse(index, "status is firing or resolved.", "/status")
        return
    rule = frame.word(labels.get("alertname"))
    if rule is None:
        found.refuse(index, "The label alertname is needed.", "/labels/alertname")
        return
    ended = status == "resolved"
    at = frame.instant(entry.get("endsAt" if ended else "startsAt"))
    target = frame.first(labels.get("target"), labels.get("instance"), labels.get("url"))
    document = {
        "id": f"{LOCATION}:{_mark(entry, labels)}:{status}:{at}",
        "probe": _name(rule, labels),
        "occurred_at": at,
        "location": frame.first(
            *(labels.get(place) for place in PLACES),
            hints.location,
            LOCATION,
            limit=frame.PLACE_LIMIT,
        ),
        "service": frame.service_for(
            hints, named=labels.get("sextant_service") or labels.get("service"), target=target
        ),
        "feature": frame.word(labels.get("sextant_feature"), frame.PLACE_LIMIT),
        "outcome": "ok" if ended else _outcome(labels),
        "error": None
        if ended
        else frame.error_text(
            notes.get("summary") or notes.get("title"),
            notes.get("description") or notes.get("message"),
        ),
    }
    found.add_result(index, document, hold=STANDS)


def _name(rule: str, labels: Mapping[str, Any]) -> str:
    parts = (rule, labels.get("instance") or labels.get("target"), labels.get("module"))
    return " ".join(filter(None, map(frame.word, parts)))[: frame.NAME_LIMIT]


def _outcome(labels: Mapping[str, Any]) -> str:
    return "degraded" if str(labels.get("severity", "")).lower() in MILD else "failed"


def _mark(entry: Mapping[str, Any], labels: Mapping[str, Any]) -> str:
    # Old senders have no fingerprint; the labels are what it is made from.
    given = frame.word(entry.get("fingerprint"), 64)
    if given is not None:
        return given
    text = json.dumps(labels, sort_keys=True, default=str)
    return blake2b(text.encode(), digest_size=8).hexdigest()
