"""The W3C Reporting API with Network Error Logging: what browsers could not reach, and why."""

from datetime import datetime, timedelta

from app.core.foreign import Foreign, Hints
from app.sources.intake import frame

REPORTS = "application/reports+json"
NETWORK_ERROR = "network-error"
FINE = frozenset({"ok", "abandoned", "dns.address_changed"})
MOST = 1_000  # what one sampled report may stand for


class Reporting:
    """Reads batches of reports; those that tell of no network error are passed over.

    Only the server of an address can ask for its reports, so these are of your own sites and
    proxies; a vendor's front door is reached by them only where you stand in between.
    """

    name = "reporting"
    media = frozenset({REPORTS, "application/json"})

    def read(self, body: bytes, *, hints: Hints, now: datetime) -> Foreign:
        """Read a batch.

        Raises:
            UnreadablePayload: it is no JSON object or array.
        """
        found = Foreign()
        for index, record in frame.records(frame.decode(body)):
            report = frame.table(record)
            told = frame.table(report.get("body"))
            kind = frame.word(told.get("type"))
            if report.get("type") != NETWORK_ERROR or kind is None or kind in FINE:
                found.passed_over += 1
                continue
            age = frame.milliseconds(report.get("age")) or 0.0
            target = report.get("url")
            fraction = told.get("sampling_fraction")
            found.add_report(
                index,
                {
                    "occurred_at": (now - timedelta(milliseconds=age)).isoformat(),
                    "service": frame.service_for(hints, target=target) or "other",
                    "client": frame.client_of(frame.word(report.get("user_agent"), 500), target)
                    or "browser",
                    "code": kind[:120],
                    "http_status": frame.status_of(told.get("status_code")),
                    "count": _count(fraction),
                },
            )
        return found


def _count(fraction: object) -> int:
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or fraction <= 0:
        return 1
    return max(1, min(MOST, round(1 / fraction)))
