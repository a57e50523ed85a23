"""Probes: how each check stands at each location."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from fastapi import Request, Response
from pydantic import Field

from app.api.asked import Asked, json_answer
from app.api.deps import Context, Reader, Writer, problems, resource, tenants_of
from app.api.picture import Pictures, ProbeState
from app.api.v1.schemas import In, Out
from app.core.signature import Signature
from app.core.standing import Quorum, Standing, Vote, vote
from app.core.types import Condition, Outcome, SelfCheck, Symptom, TenantId
from app.flow import signatures

router = resource("probes")


SignatureWord = Literal["learning", "learned", "changed"]
StateWord = Literal["up", "down", "slow", "unstable", "changed", "maintenance", "unknown"]


class SignatureOut(Out):
    """What the good answers of a check look like: aspect → its healthy values.

    It is learned over the first day; from then on an answer that differs is listed in `departed`.
    """

    state: SignatureWord
    answers: int
    began_at: datetime | None
    learned_at: datetime | None
    expects: dict[str, list[str]]
    departed: dict[str, str]
    departed_at: datetime | None


class QuorumOut(Out):
    """All locations of the check together: `needed` must fail before it is down everywhere.

    `local`: some fail, too few to accuse the service. Locations that are unsound, silent or in
    maintenance abstain.
    """

    verdict: Quorum
    failing: int
    speaking: int
    abstaining: int
    needed: int


class ProbeOut(Out):
    """One check at one location; `stale` says that no result came when one was due.

    `state` needs three failures for `down` and two successes for `up`; it is `unstable` while it
    changes too often, `changed` where the service answers, though not as it used to, and `slow`
    where it takes far longer than usual at this hour (`usual_ms`, learned from seven days).
    """

    tenant: str
    probe: str
    location: str
    service: str
    feature: str | None
    client: str | None
    region: str | None
    condition: Condition
    stale: bool
    symptom: str | None
    outcome: Outcome | None
    http_status: int | None
    error: str | None
    latency_ms: float | None
    usual_ms: float | None
    self_check: SelfCheck | None
    last_at: datetime | None
    failing_since: datetime | None
    failure_rate: float
    state: StateWord
    state_since: datetime | None
    flap_share: float
    phases: dict[str, float]
    diagnostics: dict[str, str]
    signature: SignatureOut | None
    quorum: QuorumOut


class RelearnIn(In):
    """The check whose signature is learned anew, at one location or at all."""

    probe: str = Field(min_length=1, max_length=200)
    location: str | None = Field(default=None, min_length=1, max_length=100)


class RelearnOut(Out):
    """How many locations of the check forgot what they had learned."""

    probe: str
    forgotten: int


class ProbeList(Out):
    """All checks."""

    items: list[ProbeOut]
    next: None


@router.get("/probes", summary="List the checks and how they stand")
async def list_probes(request: Request, app: Context, caller: Reader) -> ProbeList:
    """List every check at every location that gave a result lately."""
    pictures: Pictures = request.app.state.pictures
    found = []
    for tenant in tenants_of(app, caller):
        states = await pictures.probes(tenant)
        votes = _votes(states)
        found += [_shown(tenant, state, votes[state.track.probe]) for state in states]
    return ProbeList(items=found, next=None)


@router.post("/probes/relearn", response_model=RelearnOut, responses=problems(404, 422))
async def relearn_signature(body: RelearnIn, app: Context, caller: Writer) -> Response:
    """Forget the healthy signature of a check and learn it anew, when the vendor has changed."""
    probe, location = body.probe, body.location
    act = Asked(app, caller, lambda n: json_answer(RelearnOut(probe=probe, forgotten=n)))
    number = await signatures.relearn(app.db, caller.tenant, probe, location=location, act=act)
    return act.reply(number)


def _votes(states: Sequence[ProbeState]) -> dict[str, Vote]:
    standings: dict[str, list[Standing | None]] = {}
    for state in states:
        standings.setdefault(state.track.probe, []).append(
            None if state.newest is None or state.stale else state.newest.standing
        )
    return {probe: vote(found) for probe, found in standings.items()}


def _word(state: ProbeState) -> StateWord:
    newest = state.newest
    if newest is None or state.stale:
        return "unknown"
    if "maintenance" in newest.diagnostics:
        return "maintenance"
    standing = newest.standing or Standing.UNKNOWN
    if standing is Standing.UP and newest.symptom is Symptom.SLOW:
        return "slow"
    if standing is Standing.UP and newest.signature.departed:
        return "changed"
    return standing.value


def _signature(signature: Signature) -> SignatureOut | None:
    if signature.began_at is None:
        return None
    learned: SignatureWord = "changed" if signature.departed else "learned"
    return SignatureOut(
        state="learning" if signature.learned_at is None else learned,
        answers=signature.answers,
        began_at=signature.began_at,
        learned_at=signature.learned_at,
        expects={aspect: list(values) for aspect, values in signature.expects.items()},
        departed=dict(signature.departed),
        departed_at=signature.departed_at,
    )


def _shown(tenant: TenantId, state: ProbeState, voted: Vote) -> ProbeOut:
    track = state.track
    minute = max(track.minutes, default=None)
    newest = state.newest
    symptom = None if minute is None else track.minutes[minute].symptom
    return ProbeOut(
        tenant=tenant,
        probe=track.probe,
        location=track.location,
        service=track.service,
        feature=track.feature,
        client=track.client,
        region=track.region,
        condition=state.condition,
        stale=state.stale,
        symptom=symptom if newest is None else newest.symptom,
        outcome=None if newest is None else newest.outcome,
        http_status=None if newest is None else newest.http_status,
        error=None if newest is None else newest.error,
        latency_ms=None if newest is None else newest.latency_ms,
        usual_ms=None if newest is None else newest.usual_ms,
        self_check=None if newest is None else newest.self_check,
        last_at=state.last_at,
        failing_since=state.failing_since,
        failure_rate=round(track.failure_rate, 6),
        state=_word(state),
        state_since=None if newest is None else newest.course.since,
        flap_share=0.0 if newest is None else round(newest.course.flap_share, 4),
        phases={} if newest is None else newest.phases,
        diagnostics={} if newest is None else newest.diagnostics,
        signature=None if newest is None else _signature(newest.signature),
        quorum=QuorumOut(
            verdict=voted.verdict,
            failing=voted.failing,
            speaking=voted.speaking,
            abstaining=voted.abstaining,
            needed=voted.needed,
        ),
    )
