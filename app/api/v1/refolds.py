"""Replays of the engine: the stored intake of a window folded again, perhaps otherwise."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Response, status
from pydantic import Field

from app.api.asked import Asked, json_answer
from app.api.deps import Context, Reader, Writer, problems, reach, resource
from app.api.paging import Cursor, Limit, Pager
from app.api.v1.schemas import In, Instant, Number, Out
from app.store import refolds
from app.store.refolds import Refold

router = resource("replays")

Identity = Annotated[str, Path(max_length=64)]
MOST_CHANGES = 50


class RefoldIn(In):
    """A window, and the thresholds of `[policy]` that are to differ from those in force."""

    since: Instant
    until: Instant
    policy: dict[str, Number] = Field(default_factory=dict, max_length=MOST_CHANGES)


class BriefIncidentOut(Out):
    """What names an incident in a difference."""

    id: str
    title: str
    status: str
    severity: str
    origin: str
    services: list[str]
    opened_at: datetime
    detected_at: datetime | None
    confirmed_at: datetime | None
    resolved_at: datetime | None


class ShiftedOut(Out):
    """One incident that was seen `seconds` earlier or later."""

    stored: BriefIncidentOut
    replayed: BriefIncidentOut
    seconds: int


class RegroupedOut(Out):
    """Incidents that hold the same evidence in other groups."""

    stored: list[BriefIncidentOut]
    replayed: list[BriefIncidentOut]


class ChangedOut(Out):
    """One incident of which these fields came out otherwise."""

    stored: BriefIncidentOut
    replayed: BriefIncidentOut
    fields: list[str]


class FalseAlarmsOut(Out):
    """The false alarms of either side: dismissed, or ended as a false positive."""

    stored: list[BriefIncidentOut]
    replayed: list[BriefIncidentOut]


class RefoldResultOut(Out):
    """The difference of incidents.

    `reproduced` says whether every event came out byte for byte as it was stored; null under
    another policy. `folded_from` is where the fold began, null at the very start. `notes` name what
    could not be replayed. `false` is null for a replay that was made before it was counted.
    """

    same_policy: bool
    reproduced: bool | None
    folded_from: datetime | None
    steps: int
    signals: int
    commands_passed_over: int
    notes: list[str]
    same: int
    opened: list[BriefIncidentOut]
    missed: list[BriefIncidentOut]
    earlier: list[ShiftedOut]
    later: list[ShiftedOut]
    merged_otherwise: list[RegroupedOut]
    changed: list[ChangedOut]
    false: FalseAlarmsOut | None


class RefoldOut(Out):
    """A replay of the engine, and what came of it once it is finished."""

    id: str
    tenant: str
    state: Literal["queued", "running", "finished", "failed"]
    since: datetime
    until: datetime
    policy: dict[str, float]
    progress: float
    created_by: str
    created_at: datetime
    finished_at: datetime | None
    error: str | None
    result: RefoldResultOut | None


class RefoldPage(Out):
    """One page of replays, newest first."""

    items: list[RefoldOut]
    next: str | None


@router.post(
    "/replays",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=RefoldOut,
    responses=problems(422, 503),
)
async def ask_for_replay(body: RefoldIn, app: Context, caller: Writer) -> Response:
    """Fold the stored intake of a window again, under changed thresholds or the same; a job."""

    def queued(asked: Refold) -> Response:
        headers = {"location": f"/v1/replays/{asked.id}"}
        return json_answer(_shown(asked), status=202, headers=headers)

    act = Asked(app, caller, queued)
    asked = await app.refolds.ask(
        caller.tenant,
        since=body.since,
        until=body.until,
        changes=body.policy,
        by=caller.name,
        act=act,
    )
    return act.reply(asked)


@router.get("/replays")
async def list_engine_replays(
    *, app: Context, caller: Reader, limit: Limit, cursor: Cursor = None
) -> RefoldPage:
    """List the replays of the engine, newest first."""
    pager = Pager(app.secret, "refolds", tenant=caller.tenant)
    position = pager.read(cursor)
    after = None if position is None else (datetime.fromisoformat(position[0]), position[1])
    rows: list[Refold] = await app.db.read(
        lambda c: refolds.page(c, reach(caller), after=after, limit=limit + 1)
    )
    items, following = pager.page(rows, limit, lambda one: [one.created_at.isoformat(), one.id])
    return RefoldPage(items=[_shown(one) for one in items], next=following)


@router.get("/replays/{replay_id}", responses=problems(404))
async def read_engine_replay(replay_id: Identity, app: Context, caller: Reader) -> RefoldOut:
    """Read how far a replay of the engine is, and what came of it."""
    return _shown(await app.refolds.get(reach(caller), replay_id))


def _shown(one: Refold) -> RefoldOut:
    shown: dict[str, Any] = {
        "id": one.id,
        "tenant": one.tenant,
        "state": one.state,
        "since": one.since,
        "until": one.until,
        "policy": one.policy,
        "progress": one.progress,
        "created_by": one.created_by,
        "created_at": one.created_at,
        "finished_at": one.finished_at,
        "error": one.error,
        "result": None if one.result is None else {"false": None, **one.result},
    }
    return RefoldOut.model_validate(shown)
