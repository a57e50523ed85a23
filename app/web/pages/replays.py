"""The replays: a form that asks for one, those that were asked for, and what came of one."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from app.core.policy import Policy
from app.web.page import Frame
from app.web.replaychart import draw
from app.web.replayview import LEGEND, WINDOWS, bars, counts, job, knobs, rows, snippet
from app.web.times import instant
from app.web.views import Document


def replays_page(
    frame: Frame,
    *,
    policy: Policy,
    jobs: Sequence[Document],
    given: Mapping[str, str],
    may_ask: bool,
) -> str:
    """Render the form and the list.

    Args:
        frame: the surroundings.
        policy: the policy in force.
        jobs: the replays, newest first.
        given: what was filled in before.
        may_ask: whether whoever looks may ask for one.
    """
    return frame.render(
        "replays.html",
        here="replays",
        knobs=knobs(policy, given),
        windows=WINDOWS,
        days=given.get("days", "30"),
        may_ask=may_ask,
        jobs=[job(one, frame.now, policy) for one in jobs],
    )


def replay_page(frame: Frame, *, policy: Policy, refold: Document) -> str:
    """Render one replay: how far it is, and what came of it."""
    result = refold["result"]
    shown = job(refold, frame.now, policy)
    since = instant(refold["since"]) or datetime.min.replace(tzinfo=UTC)
    until = instant(refold["until"]) or frame.now
    found = bars(result, until) if result else ()
    return frame.render(
        "replay.html",
        here="replays",
        job=shown,
        result=result,
        legend=LEGEND,
        counts=counts(result) if result else (),
        rows=rows(result, frame.now) if result else (),
        wide=draw(found, since, until) if found else "",
        narrow=draw(found, since, until, narrow=True) if found else "",
        snippet=snippet(refold["policy"]) if refold["policy"] else "",
    )
