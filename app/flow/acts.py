"""Acts: a write that somebody asked for is told in the audit log by the transaction that does it.

A use case takes an act and calls ``record`` in its unit of work, so that the write, its entry in
the audit log and the answer kept under an Idempotency-Key are stored together or not at all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

from app.core.decide import Decision
from app.core.incident import Incident
from app.core.signal import Command
from app.core.state import Snapshot
from app.core.types import Severity
from app.kit.ids import new_id
from app.store import audit

Unit = Callable[[Connection], Any]


class ActorIs(StrEnum):
    """What kind of caller acts."""

    KEY = "key"
    TOKEN = "token"  # noqa: S105 - a word, no secret
    CALLER = "caller"  # by a certificate or a signature; see ``flow.callers``
    CONSOLE = "console"
    OPERATOR = "operator"  # at the command line of this installation


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts: ``id`` is a key's, or what an issuer calls its subject."""

    kind: ActorIs
    id: str
    name: str


OPERATOR = Actor(kind=ActorIs.OPERATOR, id="cli", name="command line")


class Act:
    """One write on behalf of one actor."""

    def __init__(
        self, *, tenant: str, actor: Actor, action: str, now: datetime, request_id: str | None
    ) -> None:
        self._tenant = tenant
        self._actor = actor
        self._action = action
        self._now = now
        self._request_id = request_id
        self._id = new_id("aud")

    def record(
        self,
        c: Connection,
        target: str,
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
        made: Any = None,
        tenant: str | None = None,
    ) -> None:
        """Write the entry; part of the unit that makes the change.

        Args:
            c: the transaction.
            target: id of what is written.
            before: what it was; only what differs from ``after`` is kept. None: it was not there.
            after: what it is; None: it is gone.
            made: what the use case gives back, for who makes an answer of it.
            tenant: whose it is, where the actor's own tenant does not say.
        """
        del made
        old, new = _differing(before, after)
        audit.append(
            c,
            audit.Entry(
                id=self._id,
                tenant=tenant or self._tenant,
                at=self._now,
                actor_kind=self._actor.kind.value,
                actor_id=self._actor.id,
                actor_name=self._actor.name,
                action=self._action,
                target=target,
                request_id=self._request_id,
                before=old,
                after=new,
            ),
        )


def _differing(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    if before is None or after is None:
        return (
            None if before is None else dict(before),
            None if after is None else dict(after),
        )
    names = sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))
    return {n: before.get(n) for n in names}, {n: after.get(n) for n in names}


def noted(act: Act | None, c: Connection, target: str, **facts: Any) -> None:
    """Record an act if there is one; what the house does by itself is nobody's act."""
    if act is not None:
        act.record(c, target, **facts)


TOLD = (
    "title", "summary", "status", "severity", "services", "resolution", "acknowledged_by",
    "assignee_id", "suppressed", "labels", "merged_into", "merged_from", "split_from",
    "pins", "revision",
)  # fmt: skip


def told(incident: Incident) -> dict[str, Any]:
    """What the audit log tells of an incident."""
    return {name: _plain(getattr(incident, name)) for name in TOLD}


def obeyed(command: Command, decision: Decision) -> Incident:
    """The incident that a command was about, as it is after it."""
    wanted = command.incident
    if wanted is None:  # just opened; evidence that joined it in the same step gave it its own key
        opened = (event.incident for event in decision.events)
        key = f"person:{command.id}"
        wanted = next(i.id for i in opened if i is not None and i.key == key)
    return next(i for i in decision.incidents if i.id == wanted)


def with_act(
    act: Act | None, command: Command, snapshot: Snapshot, decision: Decision, *, also: Unit | None
) -> Unit | None:
    """What to write with a command on an incident, beside ``also``."""
    if act is None:
        return also
    after = obeyed(command, decision)
    before = next((told(i) for i in snapshot.incidents if i.id == command.incident), None)

    def unit(c: Connection) -> None:
        if also is not None:
            also(c)
        act.record(c, after.id, before=before, after=told(after), made=after)

    return unit


def plain(value: Any, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of a dataclass as JSON knows them, for the audit log."""
    return {
        part.name: _plain(getattr(value, part.name))
        for part in fields(value)
        if part.name not in without
    }


def _plain(value: Any) -> Any:
    match value:
        case Severity():
            return value.word
        case StrEnum():
            return value.value
        case frozenset() | set():
            return sorted(value)
        case tuple():
            return [_plain(item) for item in value]
        case datetime():
            return value.isoformat()
        case _ if hasattr(value, "__dataclass_fields__"):
            return plain(value)
        case _:
            return value
