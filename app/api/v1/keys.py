"""API keys: made, listed and revoked by administrators of a tenant."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import Body, Path, Request, Response, status
from pydantic import Field

from app.api.asked import Asked, json_answer, nothing
from app.api.auth import KeyRing
from app.api.deps import Admin, Context, problems, reach, resource
from app.api.paging import Cursor, Limit, Pager
from app.api.v1.schemas import COUNTED, In, Out
from app.core.errors import Forbidden
from app.flow import keys as use_cases
from app.flow.keys import NewKey
from app.store import keys
from app.store.keys import ApiKey, Bounds

router = resource("keys")

Scope = Literal[
    "reports:write",
    "probes:write",
    "intake:write",
    "incidents:read",
    "incidents:write",
    "subscriptions:write",
    "reports:public",
    "admin",
]


Network = Annotated[
    str,
    Field(
        min_length=1,
        max_length=50,
        description="As 10.0.0.0/8.",
        json_schema_extra={"format": "network"},
    ),
]
Place = Annotated[str, Field(min_length=1, max_length=100)]


class KeyIn(In):
    """A key to make."""

    name: str = Field(min_length=1, max_length=use_cases.LONGEST_NAME)
    scopes: list[Scope] = Field(
        min_length=1,
        max_length=len(use_cases.SCOPES),
        description="`reports:public` stands alone: such a key lies open in web pages.",
        json_schema_extra={"not": {"minItems": 2, "contains": {"const": use_cases.PUBLIC_SCOPE}}},
    )
    expires_in_days: Annotated[int, Field(ge=1, le=3650), COUNTED] | None = None
    voices: Annotated[int, Field(ge=0, le=1_000_000), COUNTED] | None = Field(
        default=None,
        description="Most reporters that it speaks for; 0: any; absent: limits.key_voices.",
    )
    networks: list[Network] = Field(
        default=[], max_length=64, description="From where it may be used; empty: anywhere."
    )
    locations: list[Place] = Field(
        default=[], max_length=64, description="Whose probe results it may bring; empty: any."
    )


class RotationIn(In):
    """How long the key that is followed goes on beside the new one."""

    overlap_hours: Annotated[int, Field(ge=0, le=30 * 24), COUNTED] = 24


class KeyOut(Out):
    """A key, without its secret."""

    id: str
    tenant: str
    name: str
    scopes: list[str]
    last_four: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    client: str
    voices: int | None
    networks: list[str]
    locations: list[str]


class NewKeyOut(KeyOut):
    """A key just made; ``key`` is shown this once."""

    key: str


class KeyPage(Out):
    """One page of keys, newest first."""

    items: list[KeyOut]
    next: str | None


@router.post(
    "/keys",
    status_code=status.HTTP_201_CREATED,
    response_model=NewKeyOut,
    responses=problems(422),
)
async def create_key(body: KeyIn, app: Context, caller: Admin) -> Response:
    """Make an API key for the tenant; its secret is in this answer and nowhere else."""
    days = body.expires_in_days
    act = Asked(app, caller, _told_once)
    made = await use_cases.create(
        app.db,
        tenant=caller.tenant,
        name=body.name,
        scopes=sorted(set(body.scopes)),
        now=app.clock.now(),
        expires_in=None if days is None else timedelta(days=days),
        bounds=Bounds(
            voices=body.voices, networks=tuple(body.networks), locations=tuple(body.locations)
        ),
        act=act,
    )
    return act.reply(made)


@router.get("/keys", responses=problems())
async def list_keys(app: Context, caller: Admin, limit: Limit, cursor: Cursor = None) -> KeyPage:
    """List the tenant's API keys, newest first, revoked ones among them."""
    pager = Pager(app.secret, "keys", tenant=caller.tenant)
    after = pager.read(cursor)
    tenant = reach(caller)
    rows = await app.db.read(lambda c: keys.page(c, tenant, after=after, limit=limit + 1))
    items, following = pager.page(rows, limit, lambda key: key.id)
    return KeyPage(items=[KeyOut(**_fields(key)) for key in items], next=following)


@router.post(
    "/keys/{key_id}/rotate",
    status_code=status.HTTP_201_CREATED,
    response_model=NewKeyOut,
    responses=problems(404, 409, 422),
)
async def rotate_key(
    key_id: Annotated[str, Path(max_length=64)],
    app: Context,
    caller: Admin,
    body: Annotated[RotationIn | None, Body()] = None,
) -> Response:
    """Make the key that follows this one; for a while both are valid, never more than two."""
    act = Asked(app, caller, _told_once)
    made = await use_cases.rotate(
        app.db,
        tenant=reach(caller),
        key_id=key_id,
        now=app.clock.now(),
        overlap=timedelta(hours=(body or RotationIn()).overlap_hours),
        act=act,
    )
    return act.reply(made)


@router.delete(
    "/keys/{key_id}", status_code=status.HTTP_204_NO_CONTENT, responses=problems(403, 404)
)
async def revoke_key(
    key_id: Annotated[str, Path(max_length=64)], request: Request, app: Context, caller: Admin
) -> Response:
    """Revoke an API key for good; other replicas follow within five seconds."""
    if key_id == caller.key_id:
        raise Forbidden("A key cannot revoke itself; use another one.")
    act = Asked(app, caller, nothing)
    now = app.clock.now()
    await use_cases.revoke(app.db, tenant=reach(caller), key_id=key_id, now=now, act=act)
    ring: KeyRing = request.app.state.key_ring
    ring.forget()
    return Response(status_code=status.HTTP_204_NO_CONTENT)


def _told_once(made: NewKey) -> Response:
    """Answer with a new key and its secret, which is shown this once."""
    shown = NewKeyOut(**_fields(made.key), key=made.secret)
    return json_answer(shown, status=201, headers={"cache-control": "no-store"})


def _fields(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "last_four": key.last_four,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
        "client": key.client,
        "voices": key.bounds.voices,
        "networks": list(key.bounds.networks),
        "locations": list(key.bounds.locations),
    }
