"""What the intake operations share: reading a body, storing what is good, answering after that."""

from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import partial
from typing import Any, Protocol, cast

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from app.api.auth import authenticate, bound
from app.api.deps import App, Principal, context_of, problems, resource
from app.api.once import KEY_HEADER
from app.api.operation import Operation, Serve
from app.api.rates import Rates
from app.core.batch import Batch
from app.core.errors import InvalidInput
from app.core.types import TenantId
from app.flow.vouch import BARRED
from app.kit.wire import Fault

REPORTS = "client-reports"  # the source that sheds first
OWN_THREAD_BYTES = 256 * 1024  # a larger body is parsed outside the event loop: 3 ms or more
ERRORS_SHOWN = 100  # of a body whose every record is bad

_encode = msgspec.json.Encoder().encode


class Parsed(Protocol):
    """What a reader made of a body."""

    @property
    def batch(self) -> Batch:
        """The good records."""

    @property
    def rejected(self) -> list[Fault]:
        """The refused ones, by index."""


class Reader(Protocol):
    """Reads bodies of one kind; bootstrap puts them on the application context."""

    def parse(
        self, tenant: TenantId, body: bytes, content_type: str | None, *, now: datetime
    ) -> Parsed:
        """Read a body that arrived now.

        Raises:
            UnsupportedMediaType: the content type is neither JSON nor NDJSON.
            InvalidInput: the body cannot be read as a whole.
        """
        ...


class Readers(App, Protocol):
    """The application context with its readers."""

    @property
    def report_reader(self) -> Reader:
        """Reads client reports."""

    @property
    def result_reader(self) -> Reader:
        """Reads probe results."""


class _Direct(APIRoute):
    """Calls ``endpoint(request, caller)`` without the framework's solving of dependencies.

    The solving of one dependency with a header costs as much as reading forty reports. The
    dependency stays declared, so the document shows it, and is called here by hand.
    """

    def get_route_handler(self) -> Serve:
        """Make the handler; the one dependency is what ``deps.require`` made."""
        (guard,) = (found.call for found in self.dependant.dependencies)
        admit = cast("Callable[..., Coroutine[Any, Any, Principal]]", guard)
        endpoint = cast("Callable[..., Coroutine[Any, Any, Response]]", self.endpoint)

        async def serve(request: Request) -> Response:
            tenant = request.headers.get("sextant-tenant")
            caller = await admit(request, None, sextant_tenant=tenant, tenant=None)
            return await endpoint(request, caller)

        return serve


class IntakeOperation(Operation, _Direct):
    """An operation of ``/v1`` on the hot path.

    A request without query and Idempotency-Key, as nearly all are, needs nothing of what
    ``Operation`` does but the key's rate, which is taken here.
    """

    def get_route_handler(self) -> Serve:
        """Make the handler."""
        whole = super().get_route_handler()
        direct = _Direct.get_route_handler(self)

        async def serve(request: Request) -> Response:
            if request.scope["query_string"] or KEY_HEADER in request.headers:
                return await whole(request)
            key = await authenticate(request)
            rates: Rates | None = getattr(request.app.state, "rates", None)
            if rates is not None:  # an application of a single resource has none
                rates.take(key.id, request, intake=True)
            return await direct(request)

        return serve


def intake_resource() -> APIRouter:
    """Make the router of an intake resource."""
    router = resource("Intake", responses=problems(413, 415, 422, 429))
    router.route_class = IntakeOperation
    return router


async def take_in(
    request: Request, tenant: TenantId, *, source: str, pick: Callable[[Readers], Reader]
) -> Response:
    """Read a body, store what is good in it, and answer after the commit.

    Raises:
        UnsupportedMediaType: the content type is neither JSON nor NDJSON.
        InvalidInput: nothing in the body can be taken.
        Overloaded: too much waits for its commit.
        StorageUnavailable: nothing was stored.
    """
    app = cast("Readers", context_of(request))
    if source == REPORTS:
        app.intake.see_that_there_is_room()
    body = await request.body()
    media = request.headers.get("content-type")
    now = app.clock.now()
    parse = pick(app).parse
    if len(body) > OWN_THREAD_BYTES:
        parsed = await app.intake.apart(partial(parse, tenant, body, media, now=now))
    else:
        parsed = parse(tenant, body, media, now=now)
    batch, rejected = parsed.batch, parsed.rejected
    bounds = await bound(request)
    if bounds is not None:
        batch, barred = bounds.apply(batch)
        rejected = _with_barred(rejected, len(batch), barred)
    if not len(batch):
        shown = [_entry(fault) for fault in rejected[:ERRORS_SHOWN]]
        raise InvalidInput("No record of the body can be taken.", errors=shown)
    durable = app.intake.append_batch(tenant, batch, source=source, now=now)
    del body, parsed, batch  # nothing of it is needed while the commit is awaited
    receipt = await durable
    answer = {
        "intake_id": receipt.intake_id,
        "accepted": receipt.accepted,
        "duplicates": receipt.duplicates,
        "rejected": [_entry(fault) for fault in rejected],
    }
    return Response(_encode(answer), 202, media_type="application/json")


def _with_barred(rejected: list[Fault], kept: int, barred: list[int]) -> list[Fault]:
    """The refused records with those that the key may not bring, by their index in the body."""
    if not barred:
        return rejected
    bad = {fault.index for fault in rejected}
    good = [n for n in range(len(rejected) + kept + len(barred)) if n not in bad]
    faults = [Fault(good[place], BARRED, "/location") for place in barred]
    return sorted([*rejected, *faults], key=lambda fault: fault.index)


def _entry(fault: Fault) -> dict[str, Any]:
    return {"index": fault.index, "detail": fault.detail, "pointer": fault.pointer}
