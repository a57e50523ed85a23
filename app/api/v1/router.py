"""Everything under ``/v1``, in one place."""

from fastapi import APIRouter

from app.api.v1 import (
    advisories,
    client_reports,
    commands,
    deliveries,
    events,
    incidents,
    keys,
    probe_results,
    probes,
    services,
    sources,
    subscriptions,
)

RESOURCES = (
    client_reports,
    probe_results,
    incidents,
    commands,
    deliveries,
    advisories,
    services,
    sources,
    subscriptions,
    probes,
    events,
    keys,
)


def make_router() -> APIRouter:
    """Mount every resource."""
    router = APIRouter(prefix="/v1")
    for resource in RESOURCES:
        router.include_router(resource.router)
    return router
