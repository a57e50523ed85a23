"""The player: plays a recorded outage through public doors and tells it on the terminal."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from app.demo.expect import Document, judge, main_incident
from app.demo.stage import DemoFailed, Stage, opened
from app.demo.story import Milestone, Story, UnknownStory
from app.demo.tell import Teller
from app.demo.watch import Watch, said
from app.kit.http import client

STEP_SECONDS = 0.25  # real time between looks
DRAIN_SECONDS = 30.0  # real time that the last deliveries may take after the end


def run(*, port: int, speed: float, scenario: str, once: bool) -> int:
    """Play a story and say how it went.

    Args:
        port: Where Sextant listens on loopback while it plays.
        speed: Story seconds per real second.
        scenario: Name of the story.
        once: End with the story, and judge it; else go on serving until Ctrl-C.

    Returns:
        0 when it went as told, 1 otherwise.
    """
    try:
        return asyncio.run(_play(port=port, speed=speed, scenario=scenario, once=once))
    except (DemoFailed, UnknownStory) as error:
        print(error, file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 1 if once else 0


async def _play(*, port: int, speed: float, scenario: str, once: bool) -> int:
    task = asyncio.current_task()
    if task is not None:  # so that a plain kill, too, ends the processes in order
        with contextlib.suppress(NotImplementedError):  # not on Windows
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    if speed <= 0:
        raise DemoFailed("The speed must be greater than 0.")
    story = Story.load(scenario)
    teller = Teller(Console())
    teller.title(f"Sextant plays {story.name} at speed {speed:g}.", story.label)
    async with opened(story, port=port, speed=speed, listening=teller.address) as stage:
        headers = {"authorization": f"Bearer {stage.key}"}
        async with (
            client(base_url=stage.url, timeout_seconds=20) as api,
            client(timeout_seconds=20) as standins,
        ):
            api.headers.update(headers)
            watch = Watch(stage, api=api, standins=standins)
            return await _perform(story, stage, watch, teller, once=once)


async def _perform(story: Story, stage: Stage, watch: Watch, teller: Teller, *, once: bool) -> int:
    await watch.begin()
    told = iter(story.milestones)
    following = next(told, None)
    with _progress(story, teller) as move:
        while (now := stage.clock.now()) < story.ends_at:
            stage.check_alive()
            following = _tell_world(teller, following, told, now)
            await _look(story, watch, teller)
            move(now)
            await asyncio.sleep(STEP_SECONDS)
        move(story.ends_at)
    await _drain(story, stage, watch, teller)
    await watch.finish()
    teller.summary(main_incident(story, watch.record))
    went_well = teller.checks(judge(story, watch.record))
    if once:
        return 0 if went_well else 1
    teller.console.print(f"The story is over; {stage.url}/ stays open until Ctrl-C.")
    await stage.server.wait()
    stage.check_alive()
    return 1


async def _look(story: Story, watch: Watch, teller: Teller) -> None:
    """See what is new, and tell it."""
    for event in await watch.events():
        teller.event(event)
        if event["type"] in {"incident.advisory_linked", "incident.advisory_updated"}:
            await _quote(story, watch, teller, event)
    for entry in await watch.deliveries():
        teller.delivery(entry)


async def _quote(story: Story, watch: Watch, teller: Teller, event: Document) -> None:
    advisory = await watch.advisory(str(story.expect["advisory"]))
    for text in said(advisory):
        at = datetime.fromisoformat(event["occurred_at"])
        teller.microsoft(at, advisory["status"], text)


async def _drain(story: Story, stage: Stage, watch: Watch, teller: Teller) -> None:
    """Give the last deliveries their time."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + DRAIN_SECONDS
    await _look(story, watch, teller)
    while watch.record.undelivered() and loop.time() < give_up:
        stage.check_alive()
        await asyncio.sleep(STEP_SECONDS)
        await _look(story, watch, teller)


def _tell_world(
    teller: Teller, following: Milestone | None, told: Iterator[Milestone], now: datetime
) -> Milestone | None:
    while following is not None and following.at <= now:
        teller.milestone(following.at, following.text)
        following = next(told, None)
    return following


class _Move:
    """Moves the bar to a moment of the story."""

    def __init__(self, story: Story, progress: Progress) -> None:
        self._story = story
        self._progress = progress
        span = (story.ends_at - story.skip_to) / timedelta(minutes=1)
        self._task = progress.add_task("story", total=span, clock="")

    def __call__(self, now: datetime) -> None:
        done = (now - self._story.skip_to) / timedelta(minutes=1)
        self._progress.update(self._task, completed=max(0.0, done), clock=f"{now:%H:%M}")


@contextlib.contextmanager
def _progress(story: Story, teller: Teller) -> Iterator[_Move]:
    columns = (
        TextColumn("[bold]{task.fields[clock]} UTC[/]"), BarColumn(bar_width=None),
        TaskProgressColumn(),
    )  # fmt: skip
    is_terminal = teller.console.is_terminal
    with Progress(*columns, console=teller.console, disable=not is_terminal) as progress:
        yield _Move(story, progress)
