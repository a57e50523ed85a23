"""What a reader narrows the board or the list of incidents to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.core.catalogue import SERVICES
from app.web.words import SEVERITIES, STATUS

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What the reader asked for; empty words ask for everything."""

    q: str = ""
    status: str = ""
    severity: str = ""
    service: str = ""

    @property
    def words(self) -> dict[str, str]:
        """The filters that are set."""
        whole = {
            "q": self.q,
            "status": self.status,
            "severity": self.severity,
            "service": self.service,
        }
        return {key: value for key, value in whole.items() if value}

    def admits(self, incident: Document) -> bool:
        """Whether an incident's document is among what was asked for."""
        text = f"{incident['title']} {incident['number']} {incident.get('summary') or ''}"
        of_service: bool = not self.service or self.service in (incident.get("services") or [])
        of_status = self.status in {"", incident["status"]}
        of_severity = self.severity in {"", incident["severity"]}
        return of_service and of_status and of_severity and self.q.casefold() in text.casefold()

    def admits_service(self, service: Document, incidents: Sequence[Document]) -> bool:
        """Whether a row of the board is: by its name, or because an incident shown hits it."""
        slug = service["service"]
        if self.service:
            return bool(slug == self.service)
        if not self.q and not self.severity:
            return True
        named = bool(self.q) and self.q.casefold() in str(service.get("name") or slug).casefold()
        return named or any(slug in (one.get("services") or []) for one in incidents)


EVERYTHING = Filters()


def filters_of(query: dict[str, str]) -> Filters:
    """Read filters from a query string; a word that we do not know is dropped."""
    services = {service.slug for service in SERVICES}

    def known(name: str, allowed: object) -> str:
        value = query.get(name, "")
        return value if isinstance(allowed, set | dict) and value in allowed else ""

    return Filters(
        q=query.get("q", "").strip()[:200],
        status=known("status", STATUS),
        severity=known("severity", {*SEVERITIES, "unknown"}),
        service=known("service", services),
    )
