"""The desk: the working state of one step of the fold, from a snapshot to a decision."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from app.core.aggregate import Touched
from app.core.changes import Log
from app.core.disturbance import Disturbance
from app.core.incident import Incident
from app.core.policy import Policy
from app.core.state import EngineState, KnownAdvisory, Snapshot, minute_of
from app.core.survey import Memo, Surveyed

# An incident that stays as it is, its advisories and the stale sources: all that it depends on.
Rest: TypeAlias = tuple[Incident, tuple[KnownAdvisory | None, ...], tuple[str, ...]]


@dataclass(slots=True)
class Desk:
    """What one step works on; lives for one call of ``decide``.

    ``revised``: advisories of this step, with posts. ``by_incident``: the newest disturbance that
    an incident holds; ``held``: all of them. ``linked``: vendor ids that joined an incident in this
    step. ``opened``: ids of incidents that are new. ``touched``: the minutes that this step's
    signals changed. ``rests``: what the step before found to stay as it is; ``resting``: this one.
    """

    snapshot: Snapshot
    now: datetime
    policy: Policy
    state: EngineState
    incidents: dict[str, Incident]
    number: int
    log: Log
    before: dict[str, Incident]
    revised: dict[str, KnownAdvisory] = field(default_factory=dict)
    by_incident: dict[str, Disturbance] = field(default_factory=dict)
    held: dict[str, list[Disturbance]] = field(default_factory=dict)
    linked: dict[str, list[str]] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)
    touched: Touched = field(default_factory=Touched)
    surveyed: Surveyed | None = None
    memo: Memo | None = None
    rests: dict[str, Rest] = field(default_factory=dict)
    resting: dict[str, Rest] = field(default_factory=dict)

    @property
    def minute(self) -> int:
        """The present minute."""
        return minute_of(self.now)


def lay_out(snapshot: Snapshot, *, now: datetime, policy: Policy) -> Desk:
    """Lay out a snapshot, ready to be worked on; the snapshot itself is never changed."""
    incidents: dict[str, Incident] = {i.id: i for i in snapshot.incidents}
    return Desk(
        snapshot=snapshot,
        now=now,
        policy=policy,
        state=snapshot.state,
        incidents=incidents,
        number=snapshot.number,
        log=Log(tenant=snapshot.profile.id, sequence=snapshot.sequence, now=now),
        before=dict(incidents),
    )
