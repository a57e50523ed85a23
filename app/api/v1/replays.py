"""Replays: windows of the past that are sent again, as jobs that can be watched."""

from datetime import datetime
from typing import Annotated, Literal, Self

from fastapi import Path, Response, status
from pydantic import model_validator
from sqlalchemy import Connection

from app.api.asked import Asked, json_answer
from app.api.deps import Context, problems, reach, resource
from app.api.paging import Cursor, Limit, Pager
from app.api.v1.deliveries import SubscriptionsWriter
from app.api.v1.schemas import In, Instant, Out
from app.core.errors import NotFound
from app.store import replays
from app.store.replays import Replay, Tally

router = resource("subscriptions")

Chosen = Literal["failed", "missing", "all"]
Identity = Annotated[str, Path(max_length=64)]


class ReplayIn(In):
    """A window of the past: what failed (parked), is missing (never planned), or all of it."""

    since: Instant
    until: Instant
    select: Chosen = "missing"

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.until <= self.since:
            raise ValueError("until must be later than since")
        return self


class ReplayOut(Out):
    """A replay; its deliveries carry its id in the header ``sextant-replay``.

    It is ``planning`` while the window is gone through, ``sending`` while deliveries wait, and
    ``cancelled`` when somebody ended it, or the subscription was deleted meanwhile.
    """

    id: str
    subscription: str
    state: Literal["planning", "sending", "finished", "cancelled"]
    select: Chosen
    since: datetime
    until: datetime
    planned: int
    delivered: int
    parked: int
    pending: int
    created_by: str
    created_at: datetime
    finished_at: datetime | None


class ReplayPage(Out):
    """One page of replays, newest first."""

    items: list[ReplayOut]
    next: str | None


@router.post(
    "/subscriptions/{subscription_id}/replays",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=ReplayOut,
    responses=problems(404, 422),
)
async def replay_window(
    subscription_id: Identity, body: ReplayIn, app: Context, caller: SubscriptionsWriter
) -> Response:
    """Have events of a window sent again, under the ids that they had; goes on by itself."""

    def planned(job: Replay) -> Response:
        location = f"/v1/subscriptions/{subscription_id}/replays/{job.id}"
        return json_answer(_shown(job, Tally()), status=202, headers={"location": location})

    act = Asked(app, caller, planned)
    job = await app.subscriptions.replay(
        caller.tenant,
        subscription_id,
        since=body.since,
        until=body.until,
        select=body.select,
        by=caller.name,
        act=act,
    )
    return act.reply(job)


@router.get("/subscriptions/{subscription_id}/replays", responses=problems(404))
async def list_replays(
    subscription_id: Identity,
    app: Context,
    caller: SubscriptionsWriter,
    limit: Limit,
    cursor: Cursor = None,
) -> ReplayPage:
    """List the replays of a subscription, newest first."""
    await app.subscriptions.get(reach(caller), subscription_id)
    filters = {"subscription": subscription_id}
    pager = Pager(app.secret, "replays", tenant=caller.tenant, filters=filters)
    after = pager.read(cursor)

    def unit(c: Connection) -> list[tuple[Replay, Tally]]:
        jobs = replays.page(c, subscription_id, after=after, limit=limit + 1)
        return [(job, replays.tally(c, job.id)) for job in jobs]

    rows = await app.db.read(unit)
    items, following = pager.page(rows, limit, lambda pair: pair[0].id)
    return ReplayPage(items=[_shown(*pair) for pair in items], next=following)


@router.get("/subscriptions/{subscription_id}/replays/{replay_id}", responses=problems(404))
async def read_replay(
    subscription_id: Identity, replay_id: Identity, app: Context, caller: SubscriptionsWriter
) -> ReplayOut:
    """Read how far a replay has come."""
    await app.subscriptions.get(reach(caller), subscription_id)

    def unit(c: Connection) -> tuple[Replay | None, Tally]:
        return replays.get(c, subscription_id, replay_id), replays.tally(c, replay_id)

    job, tally = await app.db.read(unit)
    if job is None:
        raise NotFound
    return _shown(job, tally)


@router.post(
    "/subscriptions/{subscription_id}/replays/{replay_id}/cancel",
    response_model=ReplayOut,
    responses=problems(404, 409),
)
async def cancel_replay(
    subscription_id: Identity, replay_id: Identity, app: Context, caller: SubscriptionsWriter
) -> Response:
    """End a replay before it is through; what of it waits is parked, and can be redelivered."""
    act = Asked(app, caller, lambda made: json_answer(_shown(*made)))
    made = await app.subscriptions.cancel_replay(caller.tenant, subscription_id, replay_id, act=act)
    return act.reply(made)


def _shown(job: Replay, tally: Tally) -> ReplayOut:
    return ReplayOut.model_validate(
        {
            "id": job.id,
            "subscription": job.subscription,
            "state": job.state,
            "select": job.chosen,
            "since": job.since,
            "until": job.until,
            "planned": job.planned,
            "delivered": tally.delivered,
            "parked": tally.parked,
            "pending": tally.pending,
            "created_by": job.created_by,
            "created_at": job.created_at,
            "finished_at": job.finished_at,
        }
    )
