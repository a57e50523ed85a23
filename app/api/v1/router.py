"""Everything under ``/v1``, in one place."""

from starlette.routing import BaseRoute

from app.api.v1 import (
    advisories,
    client_reports,
    commands,
    deliveries,
    events,
    incidents,
    intake,
    keys,
    maintenance,
    probe_results,
    probes,
    replays,
    services,
    sources,
    subscriptions,
    vendor_events,
)

RESOURCES = (
    client_reports,
    probe_results,
    intake,
    incidents,
    commands,
    deliveries,
    advisories,
    vendor_events,
    services,
    sources,
    subscriptions,
    replays,
    probes,
    events,
    keys,
    maintenance,
)


def all_routes() -> list[BaseRoute]:
    """The routes of every resource."""
    return [route for resource in RESOURCES for route in resource.router.routes]
