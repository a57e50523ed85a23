"""Reading for the operator's pages: from the store to plain documents."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from app.core.document import rfc3339
from app.core.link import LinkState
from app.core.route import Subscription
from app.core.tempo import Tempo
from app.core.types import Condition, TenantId
from app.store import audit, deliveries, links, probes, replays, subscriptions
from app.store.replays import Replay, Tally
from app.web.incidentreading import delivery_document, link_document
from app.web.reading import PictureLike, ProbeLike

Document = dict[str, Any]

STATES = ("pending", "delivered", "parked")
RECEIVERS = 200  # on one page
DELIVERIES = 40  # on one page
REPLAYS = 10  # newest of one receiver
TICKETS = 50  # on one page
ENTRIES = 50  # of the audit log on one page
ORDER = (Condition.FAILING, Condition.DEGRADED, Condition.UNKNOWN, Condition.HEALTHY)


def receivers(c: Connection, tenant: str) -> list[Document]:
    """The subscriptions of a tenant, those in trouble first."""
    found = subscriptions.page(c, TenantId(tenant), after=None, limit=RECEIVERS)
    order = {"disabled": 0, "failing": 1, "unverified": 2, "active": 3}
    return sorted((_receiver(one) for one in found), key=lambda one: order[one["state"]])


def _receiver(one: Subscription) -> Document:
    wanted = one.filter
    return {
        "id": one.id,
        "revision": one.revision,
        "url": one.url,
        "description": one.description,
        "state": one.state.value,
        "event_types": list(one.event_types),
        "services": list(wanted.services),
        "min_severity": wanted.min_severity.word if wanted.min_severity is not None else "",
        "statuses": [status.value for status in wanted.statuses],
        "regions": list(wanted.regions),
        "labels": [f"{name}={value}" for name, value in wanted.labels],
        "format": one.format,
        "detail": one.detail,
        "signing": one.signing,
        "created_by": one.created_by,
        "created_at": rfc3339(one.created_at),
        "verified_at": rfc3339(one.verified_at),
        "failing_since": rfc3339(one.failing_since),
        "consecutive_failures": one.consecutive_failures,
        "open_until": rfc3339(one.open_until),
    }


def receiver(
    c: Connection, tenant: str, identity: str, state: str, after: str
) -> dict[str, Any] | None:
    """One subscription with a page of its deliveries and its newest replays; None if unknown."""
    owner = TenantId(tenant)
    found = subscriptions.get(c, owner, identity)
    if found is None:
        return None
    last = deliveries.get(c, owner, after) if after else None
    rows = deliveries.page(
        c,
        owner,
        subscription=identity,
        state=state or None,
        after=(last[0].created_at, last[0].id) if last else None,
        limit=DELIVERIES + 1,
    )
    jobs = replays.page(c, identity, after=None, limit=REPLAYS)
    return {
        "receiver": _receiver(found),
        "deliveries": [delivery_document(one, found.url) for one in rows[:DELIVERIES]],
        "after": rows[DELIVERIES - 1].id if len(rows) > DELIVERIES else None,
        "replays": [_replay(job, replays.tally(c, job.id)) for job in jobs],
    }


def _replay(job: Replay, tally: Tally) -> Document:
    return {
        "id": job.id,
        "state": job.state,
        "select": job.chosen,
        "since": rfc3339(job.since),
        "until": rfc3339(job.until),
        "planned": job.planned,
        "delivered": tally.delivered,
        "parked": tally.parked,
        "pending": tally.pending,
        "created_by": job.created_by,
        "created_at": rfc3339(job.created_at),
    }


def delivery(c: Connection, tenant: str, identity: str) -> dict[str, Any] | None:
    """One delivery with its attempts, the newest first; None if unknown."""
    found = deliveries.get(c, TenantId(tenant), identity)
    if found is None:
        return None
    one, tries = found
    receiver_of = subscriptions.get(c, TenantId(tenant), one.subscription)
    return {
        "delivery": delivery_document(one, receiver_of.url if receiver_of else ""),
        "attempts": [
            {
                "at": rfc3339(attempt.at),
                "status": attempt.status,
                "outcome": attempt.outcome,
                "duration_ms": attempt.duration_ms,
                "phases": dict(attempt.phases),
                "excerpt": attempt.excerpt,
            }
            for attempt in reversed(tries)
        ],
    }


def tickets(c: Connection, tenant: str, state: str, after: str) -> dict[str, Any]:
    """A page of tickets, newest first, and how many of each troubled state there are."""
    chosen = state if state in set(LinkState) else ""
    rows = links.page(
        c, TenantId(tenant), state=chosen or None, after=after or None, limit=TICKETS + 1
    )
    return {
        "tickets": [link_document(one) for one in rows[:TICKETS]],
        "after": rows[TICKETS - 1].id if len(rows) > TICKETS else None,
        "chosen": chosen,
    }


def audit_entries(
    c: Connection, tenant: str, target: str, actor: str, after: str
) -> dict[str, Any]:
    """A page of the audit log, newest first."""
    rows = audit.page(
        c,
        (tenant,),
        target=target or None,
        actor=actor or None,
        after=after or None,
        limit=ENTRIES + 1,
    )
    return {
        "entries": [
            {
                "id": one.id,
                "at": rfc3339(one.at),
                "actor": one.actor_name or one.actor_id,
                "actor_id": one.actor_id,
                "kind": one.actor_kind,
                "action": one.action,
                "target": one.target,
                "before": one.before or {},
                "after": one.after or {},
            }
            for one in rows[:ENTRIES]
        ],
        "after": rows[ENTRIES - 1].id if len(rows) > ENTRIES else None,
    }


def probe_documents(c: Connection, tenant: str, picture: PictureLike) -> list[Document]:
    """The checks of a picture with how long they take, the failing ones first."""
    tempos = probes.tempos(c, TenantId(tenant))
    found = sorted(
        picture.probes,
        key=lambda p: (ORDER.index(p.condition), p.track.probe, p.track.location),
    )
    return [_probe(probe, tempos) for probe in found]


def _probe(probe: ProbeLike, tempos: Mapping[tuple[str, str], Tempo]) -> Document:
    track, newest = probe.track, probe.newest
    minute = track.minutes[max(track.minutes)] if track.minutes else None
    bad = probe.condition in {Condition.FAILING, Condition.DEGRADED}
    tempo = tempos.get((track.probe, track.location), Tempo())
    return {
        "probe": track.probe,
        "location": track.location,
        "service": track.service,
        "condition": probe.condition.value,
        "last_at": rfc3339(probe.last_at),
        "stale": probe.stale,
        "failing_since": rfc3339(probe.failing_since) if bad else None,
        "symptom": minute.symptom if bad and minute else None,
        "latency_ms": newest.latency_ms if newest else None,
        "usual_ms": newest.usual_ms if newest else None,
        "error": newest.error if newest and bad else None,
        "hours": _hours(tempo),
        "hour": _hour(probe.last_at),
    }


def _hours(tempo: Tempo) -> dict[int, tuple[float, float]]:
    """Hour of the day, UTC → the least and the greatest of the days' medians, milliseconds."""
    return {hour: (min(days), max(days)) for hour, days in tempo.medians.items() if days}


def _hour(at: datetime | None) -> int | None:
    return None if at is None else at.hour
