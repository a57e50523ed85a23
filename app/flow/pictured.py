"""The picture that goes with a message or into a ticket; what fails with it holds nothing back."""

import asyncio
import logging
from dataclasses import replace

from app.core.announce import NoticePhase, picture_file
from app.core.incident import Incident
from app.core.link import Link, LinkState
from app.core.ports import IncidentPictures, MirrorWord, Telling
from app.core.ticket import Phase, phase_of
from app.flow.terms import FAILED_AGAIN, LEASE, Tools
from app.store import links

log = logging.getLogger(__name__)

DRAWING = 10.0  # seconds that a message waits for its picture
LARGEST = 1024 * 1024  # bytes; a usual one has 60 to 150 kB


async def picture_of(pictures: IncidentPictures | None, incident: Incident) -> bytes:
    """The picture as PNG, as a reader outside the tenant may see it; empty where there is none."""
    if pictures is None:
        return b""
    try:
        async with asyncio.timeout(DRAWING):
            drawn = await pictures.draw(incident.tenant, incident.id, "png", outside=True)
    except TimeoutError:
        log.warning("picture_late", extra={"incident": str(incident.id)})
        return b""
    return drawn if drawn and len(drawn) <= LARGEST else b""


def is_turn(telling: Telling) -> bool:
    """Whether a telling is more than an update: it begins, turns or ends, or is rated anew."""
    phase, severity = telling.notice.phase, telling.notice.incident.severity
    return phase is not NoticePhase.UPDATE or severity is not telling.last_severity


def turn_of(incident: Incident) -> str:
    """What a picture in a ticket is of; it is replaced when this changes."""
    phase = phase_of(incident)
    stage = incident.status.value if phase is Phase.OPEN else phase.value
    return "/".join((stage, incident.severity.word, ",".join(sorted(incident.services))))


async def pictured(tools: Tools, link: Link, incident: Incident | None, *, token: str) -> Link:
    """Put the newest picture into a ticket that is in step, once for each turn of its incident.

    The turn is noted first, with whatever else is known of the ticket: whoever dies in between
    leaves it without its newest picture, and never puts in two of one turn.
    """
    if incident is None or tools.pictures is None or not _wants(link):
        return link
    turn = turn_of(incident)
    if link.memory.pictured == turn:
        return link
    now = tools.clock.now()
    going = replace(link, memory=replace(link.memory, pictured=turn))
    until = now + LEASE * tools.terms.speed
    await tools.db.write(lambda c: links.save(c, going, token=token, keep_until=until))
    drawn = await picture_of(tools.pictures, incident)
    if not drawn:
        return going
    answer = await tools.mirror.attach(link.remote_id or "", picture_file(incident), drawn)
    if answer.word is MirrorWord.DONE:
        return going
    said = " ".join(filter(None, (answer.why, answer.remedy)))
    told = f"{link.explanation} Without its newest picture: {said}"
    if answer.word is MirrorWord.UNREACHED:  # certainly not there: once more, later
        due = min(link.due_at, now + FAILED_AGAIN)
        return replace(link, explanation=told, due_at=due)
    return replace(going, explanation=told)


def _wants(link: Link) -> bool:
    """Whether a ticket is ours to put something into: in step, or ended by us."""
    mine = link.state is LinkState.IN_STEP or (
        link.state is LinkState.ENDED and bool(link.memory.resolved_for)
    )
    return mine and link.remote_id is not None and link.incident is not None and not link.is_child
