"""The HTTP application: resources, middleware and error answers put together."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, cast

from fastapi import FastAPI
from starlette.routing import BaseRoute
from starlette.types import Scope

from app.api import docs, health, problems
from app.api.auth import KeyRing
from app.api.context import App
from app.api.health import Readiness
from app.api.methods import Methods
from app.api.middleware import Bodies, Edge
from app.api.openapi import document
from app.api.picture import Pictures
from app.api.proxies import Proxies
from app.api.rates import Rates
from app.api.retiring import RETIREMENTS, Retirements, Retiring
from app.api.shortcut import Doors, Shortcut
from app.api.v1 import subscriptions
from app.api.v1.router import all_routes
from app.api.v1.take_in import IntakeOperation

UNMATCHED = "unmatched"  # the metric label of a path that no route has
VERSION = "1"  # of the API, not of the program
TITLE = "Sextant API"
DESCRIPTION = (
    "One Microsoft 365 incident from three sightings: advisories, probes and client reports."
)

# Metrics are ours, in /metrics; nothing is sent elsewhere by the framework.
SILENT: Mapping[str, Any] = {"tracing": False, "metrics": False, "logs": False}

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[Any]]


def create_api(
    context: App,
    lifespan: Lifespan | None = None,
    *,
    full: bool = True,
    retirements: Retirements = RETIREMENTS,
    telemetry: Mapping[str, Any] = SILENT,
) -> FastAPI:
    """Make the application around a wired context.

    Args:
        context: what the routes work with.
        lifespan: what runs while the application does.
        full: whether the API is served; a replica without it answers only for its health.
        retirements: the operations that are going to end, by operation id.
        telemetry: what the framework is told of tracing; nothing of it is done unless asked for.
    """
    api = FastAPI(
        title=TITLE,
        version=VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if full else None,
        redirect_slashes=False,
        telemetry=cast("Any", telemetry),
    )
    api.state.context = context
    # Set by whoever runs the server when it stops, so that streams end before it waits for them.
    api.state.stopping = asyncio.Event()
    api.state.retirements = retirements
    api.state.key_ring = KeyRing(context)
    api.state.tokens = context.tokens
    api.state.callers = context.callers
    api.state.rates = Rates(context.settings.limits)
    api.state.readiness = Readiness(context)
    api.state.pictures = Pictures(context)
    add_routes(api, health.router.routes)
    if full:
        add_routes(api, all_routes())
        add_routes(api, subscriptions.well_known.routes)
        add_routes(api, docs.router.routes)
    problems.install(api, public_url=context.public_url)
    templates = Templates(api)
    api.add_middleware(Shortcut, find=partial(_hot, api))
    api.add_middleware(Bodies, public_url=context.public_url, limits=context.settings.limits)
    api.add_middleware(Methods, api=api)
    api.add_middleware(Retiring, retirements=retirements, metrics=context.metrics)
    api.add_middleware(
        Edge,
        public_url=context.public_url,
        metrics=context.metrics,
        templates=templates,
        stopping=api.state.stopping,
    )
    server = context.settings.server
    if server.trusted_proxies:
        api.add_middleware(
            Proxies,
            trusted=server.trusted_proxies,
            certificate=server.client_certificate_header,
        )
    _serve_document(api)
    return api


def _hot(api: FastAPI) -> Doors:
    """The operations that meet the short cut: those of ``IntakeOperation`` with a fixed path."""
    doors: Doors = {}
    for route in api.routes:
        if isinstance(route, IntakeOperation) and not route.param_convertors:
            serve = route.get_route_handler()
            doors |= {(method, route.path): (route, serve) for method in route.methods or ()}
    return doors


def add_routes(api: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Add routes as they are.

    The framework's inclusion of routers would analyse each route a second time, which costs the
    start 0.2 s, and would look for the route of each request in tables within tables.
    """
    api.router.routes.extend(routes)


class Templates:
    """Names the route of a request; built at the first one, when all routes are there."""

    def __init__(self, api: FastAPI) -> None:
        self._api = api
        self._paths: dict[int, str] = {}

    def __call__(self, scope: Scope) -> str:
        """The path template of the route that served a request, such as ``/v1/incidents/{id}``."""
        if not self._paths:
            self._paths = {
                id(route): str(getattr(route, "path", "")) or UNMATCHED
                for route in self._api.routes
            }
        return self._paths.get(id(scope.get("route")), UNMATCHED)

    def __contains__(self, template: object) -> bool:
        """Whether a template is one of ours; the label set of the metrics is closed by it."""
        return template == UNMATCHED or template in self._paths.values()


def _serve_document(api: FastAPI) -> None:
    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            api.openapi_schema = document(api)
        return api.openapi_schema

    # The framework's documented way to replace the document.
    cast("Any", api).openapi = openapi
