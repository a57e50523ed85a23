"""A vendor with a mind of its own: issues that change by a seed, and a network that lets us down.

The issues are served by the Graph stand-in; what stands here decides what it serves, and what of
its answers arrives.
"""

import asyncio
import copy
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from app.kit.clock import FixedClock
from tests.standins.entra import Entra
from tests.standins.faults import PAGE
from tests.standins.graph import Graph, recorded_issues

Issue = dict[str, Any]
STATUSES = (
    "investigating", "serviceDegradation", "serviceInterruption", "restoringService",
    "verifyingService", "extendedRecovery", "investigationSuspended", "serviceSplendid",
)  # fmt: skip
SERVICES = ("Exchange Online", "Microsoft Teams", "SharePoint Online", "Identity Service")
MOST_SKEW = timedelta(minutes=10)
MOST_ISSUES = 60
WORDS = ("status", "classification", "service", "title", "isResolved")
TIMES = ("startDateTime", "endDateTime")
INSTEAD: dict[str, Callable[[], httpx.Response]] = {
    "503": lambda: httpx.Response(503, json={"error": {"code": "serviceNotAvailable"}}),
    "500": lambda: httpx.Response(500, json={"error": {"code": "UnknownError"}}),
    "html": lambda: httpx.Response(200, html=PAGE),
    "empty": lambda: httpx.Response(200, content=b""),
    "said": lambda: httpx.Response(200, json={"error": {"code": "serviceNotAvailable"}}),
}
KINDS = (*INSTEAD, "burst", "timeout", "dead", "late", "cut", "401")


@dataclass(slots=True)
class Vendor:
    """The truth: what is served now, and every state that was ever true."""

    clock: FixedClock
    graph: Graph
    rng: random.Random
    skew: timedelta = timedelta()
    number: int = 1000000
    removed: dict[str, Issue] = field(default_factory=dict)
    ever: dict[str, set[str]] = field(default_factory=dict)
    changes: int = 0

    @property
    def issues(self) -> dict[str, Issue]:
        """What is served, by id."""
        return self.graph.extra

    def live(self, chance: float) -> None:
        """Let something happen, or not."""
        if self.rng.random() < 0.01:
            self.skew = MOST_SKEW * self.rng.uniform(-1, 1)
        if self.rng.random() < chance:
            self._happen()

    def _happen(self) -> None:
        self.changes += 1
        act = self.rng.choice(
            (
                self._open, self._post, self._post, self._post, self._word, self._word,
                self._resolve, self._resolve, self._reopen, self._edit, self._touch, self._backdate,
                self._turn, self._move, self._shuffle, self._vanish, self._remove, self._restore,
            )
        )  # fmt: skip
        if act == self._open or len(self.issues) < 5:
            return self._open()
        if act == self._restore:
            return self._restore()
        issue = self.issues[self.rng.choice(sorted(self.issues))]
        act(issue)  # type: ignore[call-arg]  # the two without an issue returned above
        return self.note(issue)

    def note(self, issue: Issue) -> None:
        """Remember a state that is true now."""
        self.ever.setdefault(issue["id"], set()).add(meaning(issue))

    def _now(self) -> str:
        at = self.clock.at + self.skew
        return at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

    def _open(self) -> None:
        if len(self.issues) >= MOST_ISSUES:
            return
        made = copy.deepcopy(self.rng.choice(recorded_issues()))
        self.number += 1
        made |= {
            "id": f"EX{self.number}", "isResolved": False, "status": "investigating",
            "endDateTime": None, "posts": made["posts"][:1], "lastModifiedDateTime": self._now(),
            "startDateTime": self._now(),
        }  # fmt: skip
        self.issues[made["id"]] = made
        self.note(made)

    def _post(self, issue: Issue) -> None:
        text = f"<p>Current status: step {self.changes}.</p><script>x()</script>"
        issue["posts"].append(
            {
                "createdDateTime": self._now(),
                "postType": self.rng.choice(("regular", "quick", "Regular")),
                "description": {"contentType": "html", "content": text},
            }
        )
        issue["lastModifiedDateTime"] = self._now()

    def _word(self, issue: Issue) -> None:
        if not issue["isResolved"]:
            issue |= {"status": self.rng.choice(STATUSES), "lastModifiedDateTime": self._now()}

    def _resolve(self, issue: Issue) -> None:
        word = self.rng.choice(("serviceRestored", "falsePositive", "postIncidentReviewPublished"))
        issue |= {"isResolved": True, "status": word, "endDateTime": self._now()}
        issue["lastModifiedDateTime"] = self._now()

    def _reopen(self, issue: Issue) -> None:
        issue |= {"isResolved": False, "status": "serviceDegradation", "endDateTime": None}
        issue["lastModifiedDateTime"] = self._now()

    def _edit(self, issue: Issue) -> None:
        issue["title"] = f"Users may see {self.changes}"  # and the stamp stays where it was

    def _touch(self, issue: Issue) -> None:
        issue["lastModifiedDateTime"] = self._now()

    def _backdate(self, issue: Issue) -> None:
        issue["startDateTime"] = "2026-03-01T00:00:00Z"

    def _turn(self, issue: Issue) -> None:
        issue["classification"] = self.rng.choice(("incident", "advisory", "Incident"))

    def _move(self, issue: Issue) -> None:
        issue["service"] = self.rng.choice(SERVICES)

    def _shuffle(self, issue: Issue) -> None:
        self.rng.shuffle(issue["posts"])

    def _vanish(self, issue: Issue) -> None:
        if len(issue["posts"]) > 1:
            issue["posts"].pop(self.rng.randrange(len(issue["posts"])))

    def _remove(self, issue: Issue) -> None:
        if self.rng.random() < 0.3:
            self.removed[issue["id"]] = self.issues.pop(issue["id"])

    def _restore(self) -> None:
        if self.removed:
            vendor_id = self.rng.choice(sorted(self.removed))
            self.issues[vendor_id] = self.removed.pop(vendor_id)


def meaning(issue: Issue) -> str:
    """What a state says, apart from its posts, in a form that can be compared."""
    words = (str(issue[name]).casefold() for name in WORDS)
    return json.dumps([*words, *(instant(issue[name]) for name in TIMES)])


def instant(text: str | None) -> str | None:
    """A time in one spelling."""
    return None if text is None else datetime.fromisoformat(text).isoformat()


class Weather(httpx.AsyncBaseTransport):
    """The way to Graph: passes requests on, or not, or not the whole answer."""

    def __init__(
        self, inner: httpx.AsyncBaseTransport, clock: FixedClock, rng: random.Random
    ) -> None:
        self._inner, self._clock, self._rng = inner, clock, rng
        self.chance = 0.0  # of a fault per request
        self.burst = 0  # requests that are throttled in a row
        self.entra: Entra | None = None
        self.sent: list[datetime] = []
        self.met: dict[str, int] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request through the weather."""
        self.sent.append(self._clock.at)
        if self.burst:
            self.burst -= 1
            return self._answer("429", httpx.Response(429, headers=self._wait(), text="slow down"))
        if self._rng.random() >= self.chance:
            return await self._inner.handle_async_request(request)
        kind = self._rng.choice(KINDS)
        return await self._fault(kind, request)

    async def _fault(self, kind: str, request: httpx.Request) -> httpx.Response:
        self.met[kind] = self.met.get(kind, 0) + 1
        if kind == "burst":
            self.burst = self._rng.randrange(1, 12)
            return httpx.Response(429, headers=self._wait(), text="slow down")
        if kind in INSTEAD:
            return INSTEAD[kind]()
        if kind in {"timeout", "dead"}:
            error = httpx.ReadTimeout if kind == "timeout" else httpx.ConnectError
            raise error("no answer", request=request)
        if kind == "401" and self.entra is not None:
            self.entra.forget_tokens()
        response = await self._inner.handle_async_request(request)
        if kind == "late":  # the server did its part; we did not see it
            await response.aclose()
            raise httpx.ReadTimeout("mid-page", request=request)
        if kind == "cut":
            body = await response.aread()
            return httpx.Response(response.status_code, content=body[: len(body) * 2 // 3])
        return response

    def _answer(self, kind: str, response: httpx.Response) -> httpx.Response:
        self.met[kind] = self.met.get(kind, 0) + 1
        return response

    def _wait(self) -> dict[str, str]:
        return self._rng.choice(({}, {"retry-after": "30"}, {"retry-after": "200"}))


class SignInRoad(httpx.BaseTransport):
    """The way to Entra for msal, which calls from threads: into the loop, unless it is down."""

    def __init__(self, app: Any, loop: asyncio.AbstractEventLoop, down: Callable[[], bool]) -> None:
        self._inner = httpx.ASGITransport(app)
        self._loop, self._down = loop, down
        self.refused = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request from a thread."""
        if self._down():
            self.refused += 1
            raise httpx.ConnectError("Entra is down", request=request)
        return asyncio.run_coroutine_threadsafe(self._send(request), self._loop).result(30)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        plain = httpx.Request(
            request.method, request.url, headers=request.headers, content=request.read()
        )
        response = await self._inner.handle_async_request(plain)
        body = await response.aread()
        return httpx.Response(response.status_code, headers=response.headers, content=body)
