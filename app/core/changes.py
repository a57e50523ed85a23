"""Changes: from an incident's former and next state to the events that tell of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any

from app.core.document import incident_document
from app.core.events import ENGINE, Actor, Event, EventType
from app.core.ids import derived_id
from app.core.incident import Incident
from app.core.policy import Policy
from app.core.types import OPEN_STATUSES, EventId, Status, TenantId

ADVISORY_FIELDS = frozenset(
    {"advisories", "vendor_started_at", "vendor_published_at", "cause_category", "cause_text",
     "cause_source", "disagreement"}
)  # fmt: skip
STATUS_FIELDS = frozenset(
    {"status", "status_reason", "confirmed_at", "mitigated_at", "resolved_at", "closed_at",
     "resolution", "held", "merged_into", "disagreement"}
)  # fmt: skip
FIGURES = frozenset(
    {"title", "summary", "features", "clients", "symptoms", "regions", "networks", "impact",
     "confidence", "evidence", "explanation", "first_signal_at", "onset_at"}
)  # fmt: skip
GROWTH = 1.25  # reporters grown by so much are told as soon as figures may be
PATIENCE = 5  # otherwise figures wait so many times the period
HIDDEN = frozenset({"onset_at", "held", "networks", "vanished_at", "key"})  # nobody is told
UNSEEN = frozenset({"revision", "updated_at", "url"})
BY_STATUS = {
    Status.CONFIRMED: EventType.CONFIRMED,
    Status.MITIGATING: EventType.MITIGATING,
    Status.MONITORING: EventType.MONITORING,
    Status.RESOLVED: EventType.RESOLVED,
    Status.CLOSED: EventType.CLOSED,
    Status.DISMISSED: EventType.DISMISSED,
    Status.MERGED: EventType.MERGED,
}


def _sorted_document(incident: Incident) -> dict[str, Any]:
    document = incident_document(incident, public_url="")
    return {key: value for key, value in document.items() if key not in UNSEEN}


@dataclass(slots=True)
class Log:
    """Collects the events of one step; sequences go on from the tenant's last."""

    tenant: TenantId
    sequence: int
    now: datetime
    events: list[Event] = field(default_factory=list)

    def emit(
        self,
        kind: EventType,
        before: Incident | None,
        after: Incident,
        *,
        reason: str,
        actor: Actor = ENGINE,
        facts: dict[str, Any] | None = None,
    ) -> Incident:
        """Append one event and return the incident with its next revision."""
        after = replace(
            after,
            revision=(before.revision if before else 0) + 1,
            updated_at=self.now,
        )
        new = _sorted_document(after)
        old = _sorted_document(before) if before is not None else {}
        changed = tuple(sorted(k for k, v in new.items() if before and old.get(k) != v))
        self._append(
            kind,
            after,
            reason=reason,
            actor=actor,
            facts=facts or {},
            changed=changed,
            previous={k: old[k] for k in changed if k not in ("explanation", "evidence")},
        )
        return after

    def tell(self, kind: EventType, *, reason: str, actor: Actor, facts: dict[str, Any]) -> None:
        """Append one event that is about no incident."""
        self._append(kind, None, reason=reason, actor=actor, facts=facts, changed=(), previous={})

    def _append(
        self,
        kind: EventType,
        incident: Incident | None,
        *,
        reason: str,
        actor: Actor,
        facts: dict[str, Any],
        changed: tuple[str, ...],
        previous: dict[str, Any],
    ) -> None:
        self.sequence += 1
        about = incident.id if incident is not None else ""
        derived = derived_id("evt", self.now, self.tenant, str(self.sequence), kind, about)
        self.events.append(
            Event(
                id=EventId(derived),
                type=kind,
                tenant=self.tenant,
                sequence=self.sequence,
                occurred_at=self.now,
                actor=actor,
                reason=reason,
                incident=incident,
                changed=changed,
                previous=previous,
                facts=facts,
            )
        )


def _take(current: Incident, target: Incident, names: frozenset[str]) -> Incident:
    values = {
        f.name: getattr(target, f.name)
        for f in fields(Incident)
        if f.name in names and getattr(target, f.name) != getattr(current, f.name)
    }
    return replace(current, **values) if values else current


def _status_event(old: Incident, new: Incident) -> EventType:
    if old.status is Status.RESOLVED and new.status in OPEN_STATUSES:
        return EventType.REOPENED
    return BY_STATUS.get(new.status, EventType.UPDATED)


def _is_material(old: Incident, new: Incident) -> bool:
    names = {f.name for f in fields(Incident)} - FIGURES - {"revision", "updated_at"}
    if any(getattr(old, name) != getattr(new, name) for name in names):
        return True
    return old.impact.level is not new.impact.level


def _is_due(old: Incident, new: Incident, since: timedelta, policy: Policy) -> bool:
    """Whether figures alone are worth telling: soon when they grow fast, else now and then."""
    moved = new.impact.locations_failing != old.impact.locations_failing
    if moved and since >= timedelta(seconds=policy.update_seconds / PATIENCE):
        return True
    if since < timedelta(seconds=policy.update_seconds):
        return False
    grown = new.impact.reporters >= old.impact.reporters * GROWTH + 1
    return grown or since >= timedelta(seconds=policy.update_seconds * PATIENCE)


def tell_changes(
    log: Log,
    old: Incident,
    new: Incident,
    *,
    linked: Sequence[str],
    revised: Sequence[str],
    policy: Policy,
) -> Incident:
    """Tell how one state became another, one event for each kind of change, in a fixed order.

    Args:
        log: where events go.
        old: the state last told.
        new: the state now.
        linked: vendor ids that joined in this step.
        revised: vendor ids whose revision changed meaning in this step.
        policy: how often figures alone are told.

    Returns:
        The state as last told after this step: figures that were held back are not in it.
    """
    if not linked and not revised and new == old:
        return old
    current = old
    if linked or revised:
        with_figures = _take(current, new, ADVISORY_FIELDS | FIGURES)
        for position, vendor_id in enumerate([*linked, *revised]):
            target = with_figures if position == 0 else current
            kind = (
                EventType.ADVISORY_LINKED
                if position < len(linked)
                else (EventType.ADVISORY_UPDATED)
            )
            reason = "advisory_fits" if kind is EventType.ADVISORY_LINKED else "advisory_revised"
            current = log.emit(kind, current, target, reason=reason, facts={"advisory": vendor_id})
    if new.status is not current.status:
        target = _take(current, new, STATUS_FIELDS | FIGURES)
        kind = _status_event(current, new)
        current = log.emit(kind, current, target, reason=new.status_reason)
    remaining = _take(
        current,
        new,
        frozenset(f.name for f in fields(Incident)) - {"revision", "updated_at", "status_reason"},
    )
    due = _is_due(current, remaining, log.now - current.updated_at, policy)
    if remaining == current:
        return current
    if _is_material(current, remaining) or due:
        if _sorted_document(remaining) == _sorted_document(current):
            return _take(current, remaining, HIDDEN)
        current = log.emit(EventType.UPDATED, current, remaining, reason="evidence_changed")
    return current
