"""Maintenance windows: planned work in which probe results weigh nothing."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import Path, Response, status
from pydantic import ConfigDict, Field, model_validator

from app.api.asked import Asked, json_answer, nothing
from app.api.deps import (
    Context,
    IfMatch,
    Reader,
    Writer,
    check_match,
    etag,
    problems,
    reach,
    resource,
)
from app.api.paging import Cursor, Limit, Pager
from app.api.v1.schemas import In, Instant, Out, without_null
from app.core.maintenance import Window
from app.store import maintenance

router = resource("maintenance-windows")

Word = Annotated[str, Field(min_length=1, max_length=200)]
Words = Annotated[list[Word], Field(max_length=100)]
Identity = Annotated[str, Path(max_length=64)]
Title = Annotated[str, Field(min_length=1, max_length=200)]


class MaintenanceWindowIn(In):
    """A window to make; an empty list stands for all, a missing start for now."""

    title: Title
    starts_at: Instant | None = None
    ends_at: Instant
    services: Words = Field(default_factory=list)
    probes: Words = Field(default_factory=list)
    locations: Words = Field(default_factory=list)


class MaintenanceWindowPatch(In):
    """What is to change."""

    model_config = ConfigDict(json_schema_extra=without_null)

    title: Title | None = None
    starts_at: Instant | None = None
    ends_at: Instant | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        empty = sorted(name for name in self.model_fields_set if getattr(self, name) is None)
        if empty:
            raise ValueError(f"null is no value for {', '.join(empty)}")
        return self


class MaintenanceWindowOut(Out):
    """A window; results of the checks that it covers are kept and shown, and weigh nothing."""

    id: str
    tenant: str
    title: str
    state: Literal["planned", "running", "ended"]
    starts_at: datetime
    ends_at: datetime
    services: list[str]
    probes: list[str]
    locations: list[str]
    created_by: str
    created_at: datetime
    revision: int


class MaintenanceWindowPage(Out):
    """One page of windows, newest first."""

    items: list[MaintenanceWindowOut]
    next: str | None


@router.post(
    "/maintenance-windows",
    status_code=status.HTTP_201_CREATED,
    response_model=MaintenanceWindowOut,
    responses=problems(422),
)
async def create_maintenance_window(
    body: MaintenanceWindowIn, app: Context, caller: Writer
) -> Response:
    """Make a maintenance window."""

    def created(made: Window) -> Response:
        location = f"/v1/maintenance-windows/{made.id}"
        headers = {"etag": etag(made.revision), "location": location}
        return json_answer(_shown(made, app.clock.now()), status=201, headers=headers)

    act = Asked(app, caller, created)
    made = await app.maintenance.create(
        caller.tenant,
        title=body.title,
        starts_at=body.starts_at,
        ends_at=body.ends_at,
        services=body.services,
        probes=body.probes,
        locations=body.locations,
        by=caller.name,
        act=act,
    )
    return act.reply(made)


@router.get("/maintenance-windows")
async def list_maintenance_windows(
    app: Context, caller: Reader, limit: Limit, cursor: Cursor = None
) -> MaintenanceWindowPage:
    """List the maintenance windows, newest first, those that have ended among them."""
    pager = Pager(app.secret, "maintenance-windows", tenant=caller.tenant)
    after = pager.read(cursor)
    tenant = reach(caller)
    rows = await app.db.read(lambda c: maintenance.page(c, tenant, after=after, limit=limit + 1))
    items, following = pager.page(rows, limit, lambda window: window.id)
    now = app.clock.now()
    return MaintenanceWindowPage(items=[_shown(one, now) for one in items], next=following)


@router.get("/maintenance-windows/{window_id}", responses=problems(404))
async def read_maintenance_window(
    window_id: Identity, app: Context, caller: Reader, response: Response
) -> MaintenanceWindowOut:
    """Read a maintenance window."""
    found: Window = await app.maintenance.get(reach(caller), window_id)
    response.headers["etag"] = etag(found.revision)
    return _shown(found, app.clock.now())


@router.patch("/maintenance-windows/{window_id}", responses=problems(404, 412, 422, 428))
async def change_maintenance_window(
    *,
    window_id: Identity,
    body: MaintenanceWindowPatch,
    app: Context,
    caller: Writer,
    if_match: IfMatch,
    response: Response,
) -> MaintenanceWindowOut:
    """Change the title or the times of a maintenance window."""
    current: Window = await app.maintenance.get(caller.tenant, window_id)
    check_match(if_match, current.revision)
    changes: dict[str, Any] = body.model_dump(exclude_unset=True)
    act = Asked(app, caller, nothing)
    changed: Window = await app.maintenance.change(current, changes, act=act)
    response.headers["etag"] = etag(changed.revision)
    return _shown(changed, app.clock.now())


@router.delete(
    "/maintenance-windows/{window_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(404, 412, 428),
)
async def end_maintenance_window(
    window_id: Identity, app: Context, caller: Writer, if_match: IfMatch
) -> Response:
    """End a maintenance window now; what it covered stays without weight."""
    current: Window = await app.maintenance.get(caller.tenant, window_id)
    check_match(if_match, current.revision)
    await app.maintenance.end(current, act=Asked(app, caller, nothing))
    return Response(status_code=status.HTTP_204_NO_CONTENT)


def _shown(window: Window, now: datetime) -> MaintenanceWindowOut:
    state: Literal["planned", "running", "ended"] = "running"
    if now < window.starts_at:
        state = "planned"
    elif now >= window.ends_at:
        state = "ended"
    return MaintenanceWindowOut(
        id=window.id,
        tenant=window.tenant,
        title=window.title,
        state=state,
        starts_at=window.starts_at,
        ends_at=window.ends_at,
        services=sorted(window.services),
        probes=sorted(window.probes),
        locations=sorted(window.locations),
        created_by=window.created_by,
        created_at=window.created_at,
        revision=window.revision,
    )
