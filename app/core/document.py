"""The JSON document of an incident, as REST, events and webhooks all show it (version 1)."""

from datetime import UTC, datetime
from typing import Any

from app.core.incident import EvidenceSummary, Incident, confidence_label
from app.core.types import SourceKind


def rfc3339(at: datetime | None) -> str | None:
    """Write an instant as RFC 3339 in UTC with whole seconds or milliseconds; None stays None."""
    if at is None:
        return None
    text = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return text.replace(".000Z", "Z")


def lead_time_seconds(incident: Incident) -> int | None:
    """How long we were ahead of the vendor; negative when the vendor was first."""
    if incident.vendor_published_at is None or incident.detected_at is None:
        return None
    return round((incident.vendor_published_at - incident.detected_at).total_seconds())


def _evidence(summary: EvidenceSummary) -> dict[str, Any]:
    return {
        "count": summary.count,
        "first_at": rfc3339(summary.first_at),
        "last_at": rfc3339(summary.last_at),
        "weight": summary.weight,
    }


def _advisories(incident: Incident, public_url: str) -> list[dict[str, Any]]:
    return [
        {
            "id": a.id,
            "title": a.title,
            "classification": a.classification,
            "status": a.status,
            "condition": a.condition,
            "published_at": rfc3339(a.published_at),
            "started_at": rfc3339(a.started_at),
            "is_resolved": a.is_resolved,
            "withdrawn": a.withdrawn,
            "url": f"{public_url}/v1/advisories/{a.id}",
        }
        for a in incident.advisories
    ]


def _people(incident: Incident) -> dict[str, Any]:
    acknowledged = None
    if incident.acknowledged_at is not None:
        acknowledged = {
            "by": incident.acknowledged_by,
            "at": rfc3339(incident.acknowledged_at),
            "note": incident.acknowledged_note,
        }
    assignee = None
    if incident.assignee_id is not None:
        assignee = {
            "id": incident.assignee_id,
            "name": incident.assignee_name,
            "by": incident.assignee_by,
        }
    return {"acknowledged": acknowledged, "assignee": assignee}


def _times(incident: Incident) -> dict[str, Any]:
    return {
        "first_signal_at": rfc3339(incident.first_signal_at),
        "detected_at": rfc3339(incident.detected_at),
        "confirmed_at": rfc3339(incident.confirmed_at),
        "vendor_started_at": rfc3339(incident.vendor_started_at),
        "vendor_published_at": rfc3339(incident.vendor_published_at),
        "mitigated_at": rfc3339(incident.mitigated_at),
        "resolved_at": rfc3339(incident.resolved_at),
        "closed_at": rfc3339(incident.closed_at),
        "updated_at": rfc3339(incident.updated_at),
        "lead_time_seconds": lead_time_seconds(incident),
    }


def _cause(incident: Incident) -> dict[str, Any] | None:
    if incident.cause_text is None:
        return None
    return {
        "category": incident.cause_category or "unknown",
        "text": incident.cause_text,
        "source": incident.cause_source,
    }


def incident_document(incident: Incident, *, public_url: str) -> dict[str, Any]:
    """Make the whole document; keys in the order of the contract, values ready for JSON.

    Args:
        incident: the state.
        public_url: where this installation is reached, without a slash at the end.
    """
    impact = incident.impact
    return {
        "id": incident.id,
        "number": incident.number,
        "tenant": incident.tenant,
        "revision": incident.revision,
        "url": f"{public_url}/incidents/{incident.id}",
        "title": incident.title,
        "summary": incident.summary,
        "status": incident.status.value,
        "status_reason": incident.status_reason,
        "severity": incident.severity.word,
        "services": list(incident.services),
        "features": list(incident.features),
        "clients": [client.value for client in incident.clients],
        "symptoms": [symptom.value for symptom in incident.symptoms],
        "regions": list(incident.regions),
        "origin": incident.origin.value,
        "impact": {
            "level": impact.level.value,
            "reporters": impact.reporters,
            "reports": impact.reports,
            "locations_failing": impact.locations_failing,
            "locations_total": impact.locations_total,
        },
        "confidence": incident.confidence,
        "confidence_label": confidence_label(incident.confidence),
        "evidence": {
            kind.value: _evidence(incident.evidence.get(kind.value, EvidenceSummary()))
            for kind in SourceKind
        },
        "explanation": [
            {
                "reason": r.reason,
                "effect": r.effect,
                "weight": r.weight,
                "text": r.text,
                "source": r.source,
                "at": rfc3339(r.at),
            }
            for r in incident.explanation
        ],
        "advisories": _advisories(incident, public_url),
        "disagreement": incident.disagreement.value,
        "cause": _cause(incident),
        "resolution": None if incident.resolution is None else incident.resolution.value,
        **_people(incident),
        "suppressed": incident.suppressed,
        "stale_sources": list(incident.stale_sources),
        **_times(incident),
        "merged_into": incident.merged_into,
        "merged_from": list(incident.merged_from),
        "split_from": incident.split_from,
        "related_to": incident.related_to,
        "pins": list(incident.pins),
        "labels": dict(incident.labels),
        "links": [],
    }
