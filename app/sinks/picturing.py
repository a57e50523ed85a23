"""A picture that follows a message: the message counts as told whatever becomes of it."""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import replace

from app.clients.errors import VendorError
from app.core.announce import picture_file
from app.core.ports import ChannelAnswer, Telling

SECONDS = 20.0  # for all calls that put it there


async def with_picture(
    answer: ChannelAnswer, work: Awaitable[None], remedies: Mapping[str, str]
) -> ChannelAnswer:
    """Do the work that attaches a picture; the answer says what went wrong with it, if anything."""
    try:
        async with asyncio.timeout(SECONDS):
            await work
    except VendorError as error:
        why = " ".join(filter(None, (error.text, remedies.get(error.code, ""))))
    except TimeoutError:
        why = f"It was not taken within {SECONDS:.0f} s."
    else:
        return answer
    return replace(answer, why=" ".join(filter(None, (answer.why, f"Without its picture: {why}"))))


def words_of(telling: Telling) -> str:
    """What stands in the place of the picture for those who do not see it."""
    incident = telling.notice.incident
    return f"{incident.number} {incident.title}: vendor, probes and users over time"


def file_of(telling: Telling) -> str:
    """The name of its file."""
    return picture_file(telling.notice.incident)


def page_of(url: str) -> str:
    """The address of the picture in the console; empty where nobody could follow it."""
    return f"{url}/picture.png" if url.startswith("https://") else ""
