"""Everything under ``/v1``, in one place."""

from starlette.routing import BaseRoute

from app.api.v1 import (
    advisories,
    audit,
    channels,
    client_reports,
    commands,
    deliveries,
    events,
    incidents,
    intake,
    keys,
    links,
    maintenance,
    messages,
    otlp,
    probe_results,
    probes,
    public_intake,
    refolds,
    replays,
    returns,
    rulings,
    services,
    sources,
    subscriptions,
    symptoms,
    vendor_events,
)

RESOURCES = (
    client_reports,
    probe_results,
    public_intake,  # before the formats, whose address would take theirs
    intake,
    otlp,
    incidents,
    commands,
    messages,
    rulings,
    deliveries,
    advisories,
    vendor_events,
    services,
    sources,
    subscriptions,
    replays,
    refolds,
    probes,
    symptoms,
    events,
    keys,
    links,
    channels,
    returns,
    audit,
    maintenance,
)


def all_routes() -> list[BaseRoute]:
    """The routes of every resource."""
    return [route for resource in RESOURCES for route in resource.router.routes]
