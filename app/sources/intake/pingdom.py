"""Pingdom's webhook, version 1: one call for each change of an uptime check."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.core.foreign import Foreign, Hints
from app.sources.intake import frame

OUTCOMES = {"UP": "ok", "SUCCESS": "ok", "DOWN": "failed", "FAILING": "failed"}


class Pingdom:
    """Reads one call. A second probe has confirmed a failure before we are told of it.

    The probes that saw it change from call to call, so they stand in the text and the location is
    Pingdom as a whole; else a failure seen from Stockholm would never be seen to end there.
    """

    name = "pingdom"
    media = frame.JSON

    def read(self, body: bytes, *, hints: Hints, now: datetime) -> Foreign:
        """Read a call.

        Raises:
            UnreadablePayload: it is no JSON object.
        """
        del now
        found = Foreign()
        for index, record in frame.records(frame.decode(body)):
            entry = frame.table(record)
            outcome = OUTCOMES.get(str(entry.get("current_state")).upper())
            name = frame.word(entry.get("check_name"))
            if outcome is None:
                found.refuse(index, f"current_state is {', '.join(OUTCOMES)}.", "/current_state")
            elif name is None:
                found.refuse(index, "The check has no name.", "/check_name")
            else:
                document = self._document(entry, name, outcome, hints)
                found.add_result(index, document, hold=frame.SPOKEN_ON_CHANGE)
        return found

    def _document(
        self, entry: Mapping[str, Any], name: str, outcome: str, hints: Hints
    ) -> dict[str, Any]:
        params = frame.table(entry.get("check_params"))
        changed = entry.get("state_changed_timestamp")
        words = str(entry.get("description") or "")
        return {
            "id": f"{self.name}:{entry.get('check_id')}:{entry.get('current_state')}:{changed}",
            "probe": name,
            "occurred_at": frame.instant(changed),
            "location": hints.location or self.name,
            "service": frame.service_for(
                hints, target=params.get("full_url") or params.get("hostname")
            ),
            "outcome": outcome,
            "http_status": frame.status_of(words.rpartition(" ")[2]),
            "error": None if outcome == "ok" else _error(entry),
        }


def _error(entry: Mapping[str, Any]) -> str | None:
    seen = [
        place
        for probe in ("first_probe", "second_probe")
        if (place := frame.word(frame.table(entry.get(probe)).get("location")))
    ]
    return frame.error_text(
        entry.get("long_description") or entry.get("description"),
        f"seen from {' and '.join(seen)}" if seen else None,
    )
