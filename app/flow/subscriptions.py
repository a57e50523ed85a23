"""Subscriptions: made, changed, pinged, rotated, replayed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from app.core.errors import IllegalTransition, NotFound, PreconditionFailed, TargetRefused
from app.core.events import EventType
from app.core.retry import Standing, Why
from app.core.route import Filter, Subscription
from app.core.types import TenantId
from app.flow.acts import Act, noted, plain
from app.kit import signing
from app.kit.clock import Clock
from app.kit.egress import Egress, Refused
from app.kit.ids import new_id
from app.kit.vault import Vault
from app.kit.wake import Bell
from app.store import deliveries, replays, subscriptions
from app.store.deliveries import Attempt, Delivery
from app.store.engine import Database
from app.store.replays import CANCELLED, Replay, Tally

ROTATION = timedelta(hours=24)  # both secrets sign for so long
EVERYTHING = Filter()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a caller asks for at creation."""

    url: str
    event_types: tuple[str, ...] = ("*",)
    filter: Filter = EVERYTHING
    format: str = "native"
    detail: str = "full"
    signing: str = "v1"
    description: str = ""


class Subscriptions:
    """The use cases of subscriptions."""

    def __init__(
        self, db: Database, clock: Clock, *, egress: Egress, vault: Vault, bell: Bell
    ) -> None:
        self._db = db
        self._clock = clock
        self._egress = egress
        self._vault = vault
        self._bell = bell

    async def create(
        self, tenant: TenantId, wish: Wish, *, by: str, act: Act | None = None
    ) -> tuple[Subscription, str]:
        """Make one and ping it; gives it with what its receiver verifies with, shown only here.

        Raises:
            TargetRefused: the address is not permitted.
        """
        await self._admit(wish.url)
        now = self._clock.now()
        secret = signing.new_secret(wish.signing)
        made = Subscription(
            id=new_id("sub"),
            tenant=tenant,
            revision=1,
            url=wish.url,
            event_types=wish.event_types,
            filter=wish.filter,
            format=wish.format,
            detail=wish.detail,
            signing=wish.signing,
            description=wish.description,
            state=Standing.UNVERIFIED,
            secret=self._vault.seal(secret),
            created_by=by,
            created_at=now,
            updated_at=now,
        )

        def unit(c: Connection) -> None:
            subscriptions.add(c, made)
            _ping(c, made, by=by, now=now)
            noted(act, c, made.id, after=_told(made), made=(made, shown(secret)))

        await self._db.write(unit)
        self._bell.ring()
        return made, shown(secret)

    async def get(self, tenant: TenantId | None, identity: str) -> Subscription:
        """Read one. Without a tenant: whosever it is.

        Raises:
            NotFound: there is none of that id.
        """
        found = await self._db.read(lambda c: subscriptions.get(c, tenant, identity))
        if found is None:
            raise NotFound
        return found

    async def change(
        self,
        tenant: TenantId,
        identity: str,
        changes: Mapping[str, Any],
        *,
        revision: int,
        by: str,
        act: Act | None = None,
    ) -> Subscription:
        """Change settings over a known revision; a changed ``url`` must be verified again.

        Args:
            tenant: whose it is.
            identity: its id.
            changes: fields of ``Wish`` to their new values; ``signing`` is not among them.
            revision: the revision that the caller has seen.
            by: who changes it.
            act: what is audited.

        Raises:
            NotFound: there is none of that id.
            PreconditionFailed: it has another revision.
            TargetRefused: the address is not permitted.
        """
        current = await self.get(tenant, identity)
        moved = "url" in changes and changes["url"] != current.url
        if moved:
            await self._admit(changes["url"])
        now = self._clock.now()
        changed = replace(current, **changes, revision=revision + 1, updated_at=now)

        def unit(c: Connection) -> None:
            if not subscriptions.replace(c, changed, revision=revision):
                raise PreconditionFailed
            if moved:
                subscriptions.stand(c, identity, Standing.UNVERIFIED, reason="url")
                _ping(c, changed, by=by, now=now)
            noted(act, c, identity, before=_told(current), after=_told(changed), made=changed)

        await self._db.write(unit)
        self._bell.ring()
        return await self.get(tenant, identity)

    async def delete(
        self, tenant: TenantId, identity: str, *, revision: int, act: Act | None = None
    ) -> None:
        """Delete one; what waits for it is parked in plain sight.

        Raises:
            NotFound: there is none of that id.
            PreconditionFailed: it has another revision.
        """
        current = await self.get(tenant, identity)
        now = self._clock.now()

        def unit(c: Connection) -> None:
            if not subscriptions.delete(c, tenant, identity, revision=revision, now=now):
                raise PreconditionFailed
            deliveries.park_all(c, identity, reason=Why.DELETED, now=now)
            noted(act, c, identity, before=_told(current))

        await self._db.write(unit)

    async def rotate(
        self, tenant: TenantId, identity: str, *, act: Act | None = None
    ) -> tuple[Subscription, str]:
        """Give a new secret; the old one signs beside it for a day.

        Raises:
            NotFound: there is none of that id.
        """
        current = await self.get(tenant, identity)
        secret = signing.new_secret(current.signing)
        now = self._clock.now()
        changed = replace(
            current,
            revision=current.revision + 1,
            secret=self._vault.seal(secret),
            secret_previous=current.secret,
            previous_until=now + ROTATION,
            updated_at=now,
        )

        def unit(c: Connection) -> None:
            if not subscriptions.replace(c, changed, revision=current.revision):
                raise PreconditionFailed
            made = (changed, shown(secret))
            noted(act, c, identity, before=_told(current), after=_told(changed), made=made)

        await self._db.write(unit)
        return changed, shown(secret)

    async def pause(self, tenant: TenantId, identity: str, *, act: Act | None = None) -> None:
        """Send nothing more until a ping is answered; what waits is parked, to be replayed.

        Raises:
            NotFound: there is none of that id.
        """
        current = await self.get(tenant, identity)
        now = self._clock.now()

        def unit(c: Connection) -> None:
            if subscriptions.stand(c, identity, Standing.DISABLED, reason="paused"):
                deliveries.park_all(c, identity, reason=Why.DISABLED, now=now)
                noted(act, c, identity, before={"state": current.state}, after={"state": "paused"})

        await self._db.write(unit)

    async def test(
        self, tenant: TenantId, identity: str, *, by: str, act: Act | None = None
    ) -> Delivery:
        """Send a ``test.ping``; answered 2xx it makes the subscription active.

        Raises:
            NotFound: there is none of that id.
        """
        current = await self.get(tenant, identity)
        now = self._clock.now()

        def unit(c: Connection) -> Delivery:
            planned = deliveries.get(c, tenant, _ping(c, current, by=by, now=now))
            if planned is None:
                raise NotFound
            noted(act, c, identity, after={"delivery": planned[0].id}, made=planned[0])
            return planned[0]

        queued = await self._db.write(unit)
        self._bell.ring()
        return queued

    async def redeliver(
        self, tenant: TenantId, identity: str, *, act: Act | None = None
    ) -> tuple[Delivery, list[Attempt]]:
        """Queue one delivery again; gives it with the attempts that it had.

        Raises:
            NotFound: there is none of that id.
        """
        now = self._clock.now()

        def unit(c: Connection) -> tuple[Delivery, list[Attempt]]:
            queued = deliveries.redeliver(c, tenant, identity, now=now)
            if queued is None:
                raise NotFound
            made = queued, deliveries.attempts(c, [identity]).get(identity, [])
            noted(act, c, identity, after={"event": queued.event}, made=made)
            return made

        found = await self._db.write(unit)
        self._bell.ring()
        return found

    async def replay(
        self,
        tenant: TenantId,
        identity: str,
        *,
        since: datetime,
        until: datetime,
        select: str,
        by: str,
        act: Act | None = None,
    ) -> Replay:
        """Ask for a window again: what ``failed`` (parked), ``missing`` (not planned), or ``all``.

        It is carried out by ``flow.upkeep``, piece by piece, whatever happens to this process.

        Raises:
            NotFound: there is no subscription of that id.
        """
        await self.get(tenant, identity)
        now = self._clock.now()
        job = Replay(
            id=new_id("rpl"),
            tenant=tenant,
            subscription=identity,
            chosen=select,
            since=since,
            until=min(until, max(now, since)),
            created_by=by,
            created_at=now,
            next_at=now,
        )

        def unit(c: Connection) -> None:
            replays.add(c, job)
            told = {"replay": job.id, "since": job.since, "until": job.until, "select": select}
            noted(act, c, identity, after=told, made=job)

        await self._db.write(unit)
        return job

    async def cancel_replay(
        self, tenant: TenantId, identity: str, name: str, *, act: Act | None = None
    ) -> tuple[Replay, Tally]:
        """End a replay before it is through; what of it waits is parked in plain sight.

        Raises:
            NotFound: there is no such subscription, or no such replay of it.
            IllegalTransition: it is finished already.
        """
        await self.get(tenant, identity)
        now = self._clock.now()

        def unit(c: Connection) -> tuple[Replay, Tally]:
            job = replays.get(c, identity, name)
            if job is None:
                raise NotFound
            done = replays.cancel(c, job, now=now)
            ended = replays.get(c, identity, name) or job
            if ended.state != CANCELLED:
                raise IllegalTransition(f"A replay that is {ended.state} cannot be cancelled.")
            made = ended, replays.tally(c, name)
            if done:
                was, became = {"state": job.state}, {"state": ended.state}
                noted(act, c, name, before=was, after=became, made=made)
            return made

        return await self._db.write(unit)

    async def public_keys(self) -> list[tuple[str, str]]:
        """List the ids of ``v1a`` subscriptions with the keys that verify what we sign now."""
        found = await self._db.read(lambda c: subscriptions.page(c, None, after=None, limit=10_000))
        return [(one.id, key) for one in found if one.signing == "v1a" for key in self.keys_of(one)]

    def keys_of(self, subscription: Subscription) -> list[str]:
        """The public keys of a ``v1a`` subscription, newest first; none for ``v1``."""
        if subscription.signing != "v1a":
            return []
        sealed = [subscription.secret]
        until = subscription.previous_until
        if subscription.secret_previous and until is not None and until > self._clock.now():
            sealed.append(subscription.secret_previous)
        return [signing.public_key(self._vault.open(secret)) for secret in sealed]

    async def _admit(self, url: str) -> None:
        try:
            await self._egress.admit(url)
        except Refused as error:
            raise TargetRefused(
                error.text, errors=[{"pointer": "/url", "detail": error.text}]
            ) from error


SECRETS = ("secret", "secret_previous")


def _told(one: Subscription) -> dict[str, Any]:
    """What the audit log tells of a subscription: never its secrets."""
    return plain(one, without=SECRETS)


def shown(secret: str) -> str:
    """What the receiver is given: the secret itself, of a key pair only its public half."""
    return signing.public_key(secret) if secret.startswith("whsk_") else secret


def _ping(c: Connection, subscription: Subscription, *, by: str, now: datetime) -> str:
    event = new_id("evt")
    document = {
        "id": event,
        "type": EventType.TEST_PING.value,
        "version": 1,
        "occurred_at": now.astimezone(UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z"),
        "tenant": subscription.tenant,
        "sequence": 0,
        "data": {
            "subscription": {"id": subscription.id, "description": subscription.description},
            "reason": "test",
            "actor": {"kind": "person", "id": by},
        },
    }
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return deliveries.ping(c, subscription, event=event, body=body, now=now)
