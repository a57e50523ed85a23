"""Reports of our own snippet and form: client reports, as JSON in whatever a browser may send."""

from datetime import datetime

from app.core.foreign import REPORT_MEMBERS, Foreign, Hints
from app.sources.intake import frame

MOST = 50  # reports of one call; the snippet sends at most 20


class Browser:
    """Reads one report or an array; text/plain is what ``sendBeacon`` may send unasked."""

    name = "browser"
    media = frozenset({"application/json", "text/plain"})

    def read(self, body: bytes, *, hints: Hints, now: datetime) -> Foreign:
        """Read a call.

        Raises:
            UnreadablePayload: it is no JSON object or array.
        """
        del now
        found = Foreign()
        for index, record in frame.records(frame.decode(body)):
            if not record or index >= MOST:
                found.refuse(index, f"A call holds at most {MOST} reports, none of them empty.")
                continue
            unknown = sorted(set(record) - REPORT_MEMBERS)
            if unknown:
                found.refuse(index, "Unknown field.", f"/{unknown[0][:100]}")
                continue
            document = dict(record)
            if not document.get("service"):
                document["service"] = hints.service
            found.add_report(index, document)
        return found
