"""The page as JSON in the shape of Statuspage's public API, version 2.

Fields and enumerations are those of https://metastatuspage.com/api/v2. It has no word for
*unknown*: a component of which nothing is known is told as ``degraded_performance`` with a
description that says so, because a reader must never take it for well.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from app.web.status.told import PublicIncident, Update, Work
from app.web.status.view import BORN, Component, StatusView

Document = dict[str, Any]
FILES = (
    "summary.json",
    "status.json",
    "components.json",
    "incidents.json",
    "incidents/unresolved.json",
    "scheduled-maintenances.json",
    "scheduled-maintenances/upcoming.json",
    "scheduled-maintenances/active.json",
)
MOST = 50  # incidents in incidents.json, as Statuspage has it


def document(name: str, view: StatusView, address: str, *, suffix: str) -> Document:
    """One of ``FILES``.

    Args:
        name: which.
        view: what the page shows.
        address: where the page is, without a trailing slash; may be empty.
        suffix: what the address of an incident's page ends in.

    Raises:
        KeyError: there is no such file.
    """
    page = {
        "id": view.page_id,
        "name": view.name,
        "url": address,
        "time_zone": "Etc/UTC",
        "updated_at": _at(view.updated_at),
    }
    status = {"indicator": view.indicator, "description": view.description}
    components = [_component(one, place, view) for place, one in enumerate(view.components, 1)]

    def place_of(one: PublicIncident) -> str:
        return _link(address, f"incidents/{one.number}{suffix}")

    def incidents(chosen: Sequence[PublicIncident]) -> list[Document]:
        return [_incident(one, view, components, place_of(one)) for one in chosen]

    def works(*states: str) -> list[Document]:
        chosen = [one for one in view.works if one.status in states]
        return [_work(one, view, components, address) for one in chosen]

    makers: dict[str, Callable[[], Document]] = {
        "summary.json": lambda: {
            "components": components,
            "incidents": incidents(view.open),
            "scheduled_maintenances": works("scheduled", "in_progress"),
            "status": status,
        },
        "status.json": lambda: {"status": status},
        "components.json": lambda: {"components": components},
        "incidents.json": lambda: {"incidents": incidents(view.incidents[:MOST])},
        "incidents/unresolved.json": lambda: {"incidents": incidents(view.open)},
        "scheduled-maintenances.json": lambda: {
            "scheduled_maintenances": works("scheduled", "in_progress", "completed")[::-1]
        },
        "scheduled-maintenances/upcoming.json": lambda: {
            "scheduled_maintenances": works("scheduled")
        },
        "scheduled-maintenances/active.json": lambda: {
            "scheduled_maintenances": works("in_progress")
        },
    }
    return {"page": page, **makers[name]()}


def _at(at: datetime | None) -> str | None:
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _component(one: Component, position: int, view: StatusView) -> Document:
    unknown = one.state == "unknown"
    return {
        "id": one.id,
        "name": one.name,
        "status": "degraded_performance" if unknown else one.state,
        "created_at": _at(BORN),
        "updated_at": _at(one.updated_at),
        "position": position,
        "description": view.words.say("not_known", "indicators") if unknown else None,
        "showcase": False,
        "start_date": None,
        "group_id": None,
        "page_id": view.page_id,
        "group": False,
        "only_show_if_degraded": False,
    }


def _affected(
    services: Sequence[str], view: StatusView, components: Sequence[Document]
) -> list[Document]:
    chosen = {one.id for one in view.components if not services or one.slug in services}
    return [one for one in components if one["id"] in chosen]


def _link(address: str, place: str) -> str:
    return f"{address}/{place}" if address else place


def _incident(
    one: PublicIncident, view: StatusView, components: Sequence[Document], link: str
) -> Document:
    affected = _affected(one.services, view, components) if one.services else []
    return {
        "id": one.id,
        "name": one.title,
        "status": one.status,
        "created_at": _at(one.created_at),
        "updated_at": _at(one.updated_at),
        "monitoring_at": _at(one.monitoring_at),
        "resolved_at": _at(one.resolved_at),
        "impact": one.impact,
        "shortlink": link,
        "started_at": _at(one.started_at),
        "page_id": view.page_id,
        "incident_updates": [_update(update, one.id, affected) for update in one.updates],
        "components": affected,
        "reminder_intervals": None,
    }


def _update(update: Update, incident: str, affected: Sequence[Document]) -> Document:
    return {
        "id": update.id,
        "status": update.status,
        "body": update.text,
        "incident_id": incident,
        "created_at": _at(update.at),
        "updated_at": _at(update.at),
        "display_at": _at(update.at),
        "affected_components": [
            {
                "code": one["id"],
                "name": one["name"],
                "old_status": update.before,
                "new_status": update.after,
            }
            for one in affected
        ],
        "deliver_notifications": False,
        "custom_tweet": None,
        "tweet_id": None,
    }


def _work(one: Work, view: StatusView, components: Sequence[Document], address: str) -> Document:
    told = [("scheduled", one.created_at, f"{one.name}.")]
    if one.status != "scheduled":
        told.append(("in_progress", one.starts_at, view.words.say("work_in_progress", "told")))
    if one.status == "completed":
        told.append(("completed", one.ends_at, view.words.say("work_completed", "told")))
    affected = _affected(one.services, view, components)
    newest = told[-1][1]
    return {
        "id": one.id,
        "name": one.name,
        "status": one.status,
        "created_at": _at(one.created_at),
        "updated_at": _at(newest),
        "monitoring_at": None,
        "resolved_at": _at(one.ends_at) if one.status == "completed" else None,
        "impact": "maintenance",
        "shortlink": _link(address, "#planned"),
        "started_at": _at(one.created_at),
        "page_id": view.page_id,
        "incident_updates": [
            {
                "id": f"{one.id}-{status}",
                "status": status,
                "body": text,
                "incident_id": one.id,
                "created_at": _at(at),
                "updated_at": _at(at),
                "display_at": _at(at),
                "affected_components": None,
                "deliver_notifications": False,
                "custom_tweet": None,
                "tweet_id": None,
            }
            for status, at, text in reversed(told)
        ],
        "components": affected,
        "scheduled_for": _at(one.starts_at),
        "scheduled_until": _at(one.ends_at),
        "reminder_intervals": None,
    }
