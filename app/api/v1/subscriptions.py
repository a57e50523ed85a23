"""Subscriptions: receivers of signed webhooks, and what they want."""

import hashlib
import re
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Path, Response, status
from pydantic import AfterValidator, ConfigDict, Field, StrictBool, model_validator

from app.api.asked import Asked, json_answer, nothing
from app.api.context import App
from app.api.deps import (
    Context,
    IfMatch,
    Principal,
    check_match,
    etag,
    operation_id,
    problems,
    reach,
    resource,
)
from app.api.paging import Cursor, Limit, Pager
from app.api.v1.deliveries import DeliveryOut, SubscriptionsWriter, delivery_out
from app.api.v1.schemas import In, Labels, Out, SeverityWord, without_null
from app.core.events import EventType
from app.core.retry import Standing
from app.core.route import ALL, FAMILIES, Filter, Subscription
from app.core.types import Severity, Status, severity_of
from app.flow.subscriptions import Wish
from app.kit.egress import URL_LENGTH
from app.store import subscriptions

router = resource("subscriptions")
STANDING = re.compile(r'\.[0-9a-f]{8}"$')  # the part of a tag that says how it stands
well_known = APIRouter(tags=["subscriptions"], generate_unique_id_function=operation_id)


KNOWN_TYPES = frozenset({ALL, *FAMILIES, *(t.value for t in EventType)}) - {EventType.TEST_PING}


def _known(word: str) -> str:
    if word not in KNOWN_TYPES:
        raise ValueError("not an event type; use * for all, or a family such as incident.*")
    return word


Url = Annotated[str, Field(min_length=1, max_length=URL_LENGTH, examples=["https://example.com/"])]
TypeWord = Annotated[str, Field(max_length=64, json_schema_extra={"format": "event-type"})]
EventTypes = Annotated[
    list[Annotated[TypeWord, AfterValidator(_known)]],
    Field(min_length=1, max_length=64, description="Event types, families (`incident.*`) or `*`."),
]
Words = Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=100)]
Statuses = Annotated[list[Status], Field(max_length=len(Status))]
FormatWord = Literal["native", "cloudevents"]
DetailWord = Literal["full", "thin"]
SigningWord = Literal["v1", "v1a"]
Description = Annotated[str, Field(max_length=200)]
Identity = Annotated[str, Path(max_length=64)]


class FilterIn(In):
    """What of an incident is wanted; what is left out, or empty, wants everything."""

    services: Words | None = None
    min_severity: SeverityWord | None = None
    statuses: Statuses | None = None
    regions: Words | None = None
    labels: Labels | None = Field(None, description="Labels that the incident must all have.")
    announced: StrictBool | None = Field(
        None,
        description="True: the end of an incident is sent only if an earlier event of it was.",
    )


class SubscriptionIn(In):
    """A receiver to make."""

    url: Url
    event_types: EventTypes = Field(default=["*"])
    filter: FilterIn = Field(default_factory=FilterIn)
    format: FormatWord = "native"
    detail: DetailWord = "full"
    signing: SigningWord = "v1"
    description: Description = ""


class SubscriptionPatch(In):
    """Settings to change; a given ``filter`` changes only the parts that it names."""

    model_config = ConfigDict(json_schema_extra=without_null)

    url: Url | None = None
    event_types: EventTypes | None = None
    filter: FilterIn | None = None
    format: FormatWord | None = None
    detail: DetailWord | None = None
    description: Description | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        empty = sorted(name for name in self.model_fields_set if getattr(self, name) is None)
        if empty:
            raise ValueError(f"null is no value for {', '.join(empty)}")
        return self


class FilterOut(Out):
    """What of an incident is wanted; empty wants everything."""

    services: list[str]
    min_severity: SeverityWord | None
    statuses: list[Status]
    regions: list[str]
    labels: dict[str, str]
    announced: bool


class SubscriptionOut(Out):
    """A receiver. ``public_keys`` verify ``v1a`` signatures, the newest first.

    Until ``paused_until`` nothing but a ping is sent, because so many attempts in a row failed.
    """

    id: str
    tenant: str
    revision: int
    url: str
    event_types: list[str]
    filter: FilterOut
    format: FormatWord
    detail: DetailWord
    signing: SigningWord
    description: str
    state: Standing
    public_keys: list[str]
    previous_secret_until: datetime | None
    verified_at: datetime | None
    failing_since: datetime | None
    consecutive_failures: int
    paused_until: datetime | None
    created_by: str
    created_at: datetime
    updated_at: datetime


class SecretSubscriptionOut(SubscriptionOut):
    """A receiver with its new ``secret``, shown this once; of ``v1a`` the public key."""

    secret: str


class SubscriptionPage(Out):
    """One page of subscriptions, oldest first."""

    items: list[SubscriptionOut]
    next: str | None


class PublicKeyOut(Out):
    """A key that verifies the ``v1a`` signatures of one subscription."""

    subscription: str
    key: str


class PublicKeysOut(Out):
    """All public keys in use."""

    keys: list[PublicKeyOut]


@router.post(
    "/subscriptions",
    status_code=status.HTTP_201_CREATED,
    response_model=SecretSubscriptionOut,
    responses=problems(422),
)
async def create_subscription(
    body: SubscriptionIn, app: Context, caller: SubscriptionsWriter
) -> Response:
    """Make a subscription and send it a `test.ping`; answered 2xx, it becomes active."""
    wish = Wish(
        url=body.url,
        event_types=tuple(dict.fromkeys(body.event_types)),
        filter=_filter(Filter(), body.filter),
        format=body.format,
        detail=body.detail,
        signing=body.signing,
        description=body.description,
    )
    act = Asked(app, caller, partial(_told_once, app, status=status.HTTP_201_CREATED))
    made = await app.subscriptions.create(caller.tenant, wish, by=caller.name, act=act)
    return act.reply(made)


@router.get("/subscriptions")
async def list_subscriptions(
    app: Context, caller: SubscriptionsWriter, limit: Limit, cursor: Cursor = None
) -> SubscriptionPage:
    """List the subscriptions, oldest first."""
    pager = Pager(app.secret, "subscriptions", tenant=caller.tenant)
    after = pager.read(cursor)
    rows = await app.db.read(
        lambda c: subscriptions.page(c, reach(caller), after=after, limit=limit + 1)
    )
    items, following = pager.page(rows, limit, lambda one: one.id)
    return SubscriptionPage(items=[_shown(app, one) for one in items], next=following)


@router.get("/subscriptions/{subscription_id}", responses=problems(404))
async def read_subscription(
    subscription_id: Identity, app: Context, caller: SubscriptionsWriter, response: Response
) -> SubscriptionOut:
    """Read a subscription and how it stands."""
    found = await app.subscriptions.get(reach(caller), subscription_id)
    response.headers["etag"] = _tag(found)
    return _shown(app, found)


@router.patch("/subscriptions/{subscription_id}", responses=problems(404, 412, 422, 428))
async def change_subscription(
    *,
    subscription_id: Identity,
    body: SubscriptionPatch,
    app: Context,
    caller: SubscriptionsWriter,
    if_match: IfMatch,
    response: Response,
) -> SubscriptionOut:
    """Change a subscription; a new `url` gets a `test.ping` first and events once it answered."""
    current = await _current(app, caller, subscription_id, if_match)
    changes: dict[str, Any] = body.model_dump(exclude_unset=True, exclude={"filter"})
    if "event_types" in changes:
        changes["event_types"] = tuple(dict.fromkeys(changes["event_types"]))
    if body.filter is not None:
        changes["filter"] = _filter(current.filter, body.filter)
    changed = await app.subscriptions.change(
        caller.tenant,
        subscription_id,
        changes,
        revision=current.revision,
        by=caller.name,
        act=Asked(app, caller, nothing),
    )
    response.headers["etag"] = _tag(changed)
    return _shown(app, changed)


@router.delete(
    "/subscriptions/{subscription_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(404, 412, 428),
)
async def delete_subscription(
    subscription_id: Identity, app: Context, caller: SubscriptionsWriter, if_match: IfMatch
) -> Response:
    """Delete a subscription; what waits for it is parked."""
    current = await _current(app, caller, subscription_id, if_match)
    act = Asked(app, caller, nothing)
    await app.subscriptions.delete(
        caller.tenant, subscription_id, revision=current.revision, act=act
    )
    return Response(status_code=status.HTTP_204_NO_CONTENT)


@router.post(
    "/subscriptions/{subscription_id}/test",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=DeliveryOut,
    responses=problems(404),
)
async def test_subscription(
    subscription_id: Identity, app: Context, caller: SubscriptionsWriter
) -> Response:
    """Send a `test.ping`; answered 2xx it makes the subscription active, also a disabled one."""
    act = Asked(app, caller, lambda queued: json_answer(delivery_out(queued, []), status=202))
    queued = await app.subscriptions.test(caller.tenant, subscription_id, by=caller.name, act=act)
    return act.reply(queued)


@router.post(
    "/subscriptions/{subscription_id}/rotate-secret",
    response_model=SecretSubscriptionOut,
    responses=problems(404, 412),
)
async def rotate_secret(
    subscription_id: Identity, app: Context, caller: SubscriptionsWriter
) -> Response:
    """Give a new secret; for 24 hours every delivery is signed with the old one as well."""
    act = Asked(app, caller, partial(_told_once, app))
    return act.reply(await app.subscriptions.rotate(caller.tenant, subscription_id, act=act))


@well_known.get("/.well-known/webhook-keys.json")
async def public_webhook_keys(app: Context) -> PublicKeysOut:
    """List the public keys that verify `v1a` signatures; no key is needed to read them."""
    keys = await app.subscriptions.public_keys()
    return PublicKeysOut(keys=[PublicKeyOut(subscription=name, key=key) for name, key in keys])


def _told_once(app: App, made: tuple[Subscription, str], *, status: int = 200) -> Response:
    """Answer with a subscription and its new secret, which is shown this once."""
    one, secret = made
    headers = {"etag": _tag(one), "cache-control": "no-store"}
    if status == HTTPStatus.CREATED:
        headers["location"] = f"/v1/subscriptions/{one.id}"
    shown = SecretSubscriptionOut(**_fields(app, one), secret=secret)
    return json_answer(shown, status=status, headers=headers)


async def _current(
    app: App, caller: Principal, identity: str, if_match: str | None
) -> Subscription:
    current: Subscription = await app.subscriptions.get(caller.tenant, identity)
    check_match(None if if_match is None else STANDING.sub('"', if_match), current.revision)
    return current


def _tag(one: Subscription) -> str:
    """The entity tag: the revision of the settings, and what else is shown that moves by itself.

    If-Match is held against the settings alone, so a ping that is answered meanwhile does no harm.
    """
    moves = (one.state, one.verified_at, one.failing_since, one.consecutive_failures)
    shown = repr((*moves, one.open_until, one.previous_until)).encode()
    digest = hashlib.blake2b(shown, digest_size=4).hexdigest()
    return etag(one.revision).removesuffix('"') + f'.{digest}"'


def _filter(current: Filter, change: FilterIn) -> Filter:
    given = change.model_fields_set
    least = change.min_severity
    return Filter(
        services=tuple(change.services or ()) if "services" in given else current.services,
        min_severity=(None if least is None else severity_of(least))
        if "min_severity" in given
        else current.min_severity,
        statuses=tuple(change.statuses or ()) if "statuses" in given else current.statuses,
        regions=tuple(change.regions or ()) if "regions" in given else current.regions,
        labels=tuple(sorted((change.labels or {}).items()))
        if "labels" in given
        else current.labels,
        announced=bool(change.announced) if "announced" in given else current.announced,
    )


def _shown(app: App, subscription: Subscription) -> SubscriptionOut:
    return SubscriptionOut(**_fields(app, subscription))


def _fields(app: App, one: Subscription) -> dict[str, Any]:
    least: Severity | None = one.filter.min_severity
    until, now = one.previous_until, app.clock.now()
    return {
        "id": one.id,
        "tenant": one.tenant,
        "revision": one.revision,
        "url": one.url,
        "event_types": list(one.event_types),
        "filter": {
            "services": list(one.filter.services),
            "min_severity": None if least is None else least.word,
            "statuses": list(one.filter.statuses),
            "regions": list(one.filter.regions),
            "labels": dict(one.filter.labels),
            "announced": one.filter.announced,
        },
        "format": one.format,
        "detail": one.detail,
        "signing": one.signing,
        "description": one.description,
        "state": one.state,
        "public_keys": app.subscriptions.keys_of(one),
        "previous_secret_until": until if until and until > now else None,
        "verified_at": one.verified_at,
        "failing_since": one.failing_since,
        "consecutive_failures": one.consecutive_failures,
        "paused_until": one.open_until if one.open_until and one.open_until > now else None,
        "created_by": one.created_by,
        "created_at": one.created_at,
        "updated_at": one.updated_at,
    }
