"""The vendor: what it posts about a fault, when, and how we come to read it.

Every revision is the whole ``serviceHealthIssue`` as Graph serves it at that reading.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bench.scenarios import prose
from bench.scenarios.almanac import DAY, MINUTE, SECOND, moment
from bench.scenarios.draw import Draw
from bench.scenarios.faults import Fault
from bench.scenarios.signals import Line
from bench.scenarios.spec import AdvisoryPlan
from bench.scenarios.world import World

FAMILY = {"incident": "serviceInterruption", "advisory": "serviceDegradation"}
RESOLVED = {"serviceRestored", "falsePositive", "postIncidentReviewPublished"}


@dataclass(kw_only=True)
class Advisory:
    """One advisory with its dice thrown; instants in milliseconds."""

    id: str
    plan: AdvisoryPlan
    role: str
    fault: str | None
    service: str
    listed: list[str]
    symptom: str
    posted: int
    resolved: int | None
    stated_start: int | None
    classification: str
    statuses: list[str]
    scope: str
    field_start: int
    lines: list[Line] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Post:
    at: int
    status: str
    title: str
    text: str


class Vendor:
    """Posts advisories; ids rise from one to the next."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._p = world.parameters["vendor"]
        self._next = 1_260_000 + int(world.draw("advisory ids").uniform(0, 90_000))

    def about(self, fault: Fault, plan: AdvisoryPlan, place: int) -> Advisory | None:
        """What becomes of a plan for a fault; None where the vendor never posts."""
        draw = self.world.draw("advisory", fault.id, place)
        lag = plan.lag
        if plan.posted:
            posted = self.world.almanac.parse(plan.posted)
        else:
            if lag is None and place == 0 and self._silent(fault, draw):
                return None
            posted = fault.onset + round(
                draw.amount(self._p[f"lag_{fault.weight}"] if lag is None else lag) * MINUTE
            )
        resolved = self._resolved(fault, plan, posted, draw)
        stated = None
        if plan.stated_start != "none":
            error = draw.normal() * self._p["start_error_minutes"]
            if plan.stated_start is not None:
                error = draw.amount(plan.stated_start)
            stated = min(fault.onset + round(error) * MINUTE, posted - MINUTE) // MINUTE * MINUTE
        made = self._made(plan, draw, fault=fault, posted=posted, resolved=resolved, stated=stated)
        fault.posted.append(made.id)
        return made

    def alone(self, plan: AdvisoryPlan, place: int | str) -> Advisory:
        """An advisory that belongs to no fault of ours: a decoy, or a false positive."""
        draw = self.world.draw("advisory alone", place)
        posted = self.world.almanac.parse(plan.posted)
        lasts = 24 * 60 if plan.lasts is None else plan.lasts
        resolved = posted + round(draw.amount(lasts) * MINUTE)
        stated = posted - round(draw.uniform(20, 300)) * MINUTE
        return self._made(plan, draw, fault=None, posted=posted, resolved=resolved, stated=stated)

    def _silent(self, fault: Fault, draw: Draw) -> bool:
        never = {"major": self._p["never_major"], "minor": self._p["never_minor"]}
        return draw.chance(never.get(fault.weight, 0.0))

    def _resolved(self, fault: Fault, plan: AdvisoryPlan, posted: int, draw: Draw) -> int | None:
        if plan.outcome == "open":
            return None
        if plan.lasts is not None:
            return posted + round(draw.amount(plan.lasts) * MINUTE)
        if plan.resolve is not None:
            wanted = fault.end + round(draw.amount(plan.resolve) * MINUTE)
        elif draw.chance(self._p["early"]):
            wanted = fault.onset + round((fault.end - fault.onset) * draw.uniform(0.4, 0.95))
        else:
            after = min(draw.amount(self._p["resolve"]), self._p["resolve_longest"])
            wanted = fault.end + round(after * MINUTE)
        return max(wanted, posted + 5 * MINUTE)

    def _made(
        self,
        plan: AdvisoryPlan,
        draw: Draw,
        *,
        fault: Fault | None,
        posted: int,
        resolved: int | None,
        stated: int | None,
    ) -> Advisory:
        service = plan.service or (fault.plan.services[0] if fault else "EX")
        symptom = plan.symptom
        if not symptom:
            mixed = fault.mix[fault.plan.services[0]] if fault else {"report": 1.0}
            symptom = max(mixed, key=lambda word: mixed[word])
        heavy = fault is not None and fault.weight in {"critical", "major"}
        made = Advisory(
            id=plan.id or self._id(service, draw),
            plan=plan,
            role=plan.role,
            fault=fault.id if fault else None,
            service=service,
            listed=list(plan.umbrella),
            symptom=symptom,
            posted=posted,
            resolved=resolved,
            stated_start=stated,
            classification=plan.classification or ("incident" if heavy else "advisory"),
            statuses=[],
            scope=self._scope(plan, fault),
            field_start=posted - round(draw.uniform(1, 40)) * SECOND,
        )
        posts = self._posts(made, draw)
        made.statuses = [post.status for post in posts]
        made.lines = self._read(made, posts, draw)
        return made

    def _id(self, service: str, draw: Draw) -> str:
        self._next += draw.whole(3, 900)
        return f"{self._p['prefix'][service]}{self._next}"

    def _scope(self, plan: AdvisoryPlan, fault: Fault | None) -> str:
        if fault and fault.plan.kind == "regional" and plan.region_text:
            regions = {s["region"] for s in self.world.sites if s["name"] in fault.sites}
            names = " and ".join(prose.REGIONS.get(r, r) for r in sorted(regions))
            return f"This issue may affect users located in {names}."
        if fault and fault.plan.kind == "third_party":
            return "Impact is specific to users whose traffic passes one internet provider."
        if fault and fault.severity < 0.3:
            return "Your organization is affected by this event, and some users are impacted."
        return "Your organization is affected by this event, and any user may be impacted."

    def _posts(self, made: Advisory, draw: Draw) -> list[_Post]:
        """The posts of its life, oldest first."""
        last = made.resolved if made.resolved is not None else made.posted + 6 * 60 * MINUTE
        middle = list(made.plan.statuses) or self._middle(made, draw)
        end = {
            "restored": "serviceRestored",
            "false_positive": "falsePositive",
            "suspended": "investigationSuspended",
            "open": "",
        }[made.plan.outcome]
        title = ""
        life = ["investigating", *middle] + ([end] if end else [])
        step = (last - made.posted) / max(1, len(life) - 1)
        rename = made.plan.rename
        if rename is None:
            rename = draw.chance(self._p["rename"])
        cause, posts = draw.of(prose.CAUSES), []
        spelling = "old" if draw.chance(self._p["old_labels"]) else "new"
        for place, status in enumerate(life):
            inner = 0 < place < len(life) - 1
            at = made.posted + round(step * (place + (draw.uniform(-0.3, 0.3) if inner else 0)))
            over = status == "serviceRestored"
            title = prose.impact(made.service, made.symptom, over=over).rstrip(".")
            if rename and place > len(life) // 2:
                title = f"Some users may encounter failures with {prose.NAMES[made.service]}"
            text = prose.post(
                title=title, service=made.service, symptom=made.symptom, status=status,
                listed=made.listed, scope=made.scope, cause=cause, first=place == 0,
                spelling=spelling,
                start=_moment(made.stated_start),
                end=moment(made.resolved - 4 * MINUTE) if over and made.resolved else None,
                following=moment(at + round(step)) if inner else None,
            )  # fmt: skip
            posts.append(_Post(at=at, status=status, title=title, text=text))
        is_closed = made.classification == "incident" and end == "serviceRestored"
        if is_closed and draw.chance(self._p["review"]):
            # comes days after the end and opens nothing
            at, status = last + round(draw.uniform(1, 5) * DAY), "postIncidentReviewPublished"
            posts.append(_Post(at=at, status=status, title=title, text=prose.STATUS[status]))
        return posts

    def _middle(self, made: Advisory, draw: Draw) -> list[str]:
        """The statuses between the first and the last."""
        count = made.plan.updates or draw.whole(*self._p["updates"])
        worst = FAMILY[made.classification]
        if worst == "serviceInterruption" and draw.chance(0.5):
            worst = "serviceDegradation"
        late = [draw.of(("restoringService", "extendedRecovery", "verifyingService"))]
        body = max(0, count - 2)
        return ([worst] * (body - 1) + late) if body > 1 else [worst] * body

    def _read(self, made: Advisory, posts: Sequence[_Post], draw: Draw) -> list[Line]:
        """What a poller of ours gets: one line for each change that it sees."""
        moments = [(post.at, place + 1) for place, post in enumerate(posts)]
        if draw.chance(self._p["touched"]):
            moments.append((posts[-1].at + round(draw.uniform(0.5, 2.5) * DAY), len(posts)))
        lines: list[Line] = []
        label, newest = made.fault or made.role, -1
        for read in sorted(max(at, self.world.begin) + self._poll(draw) for at, _ in moments):
            found = max(place for place, (at, _) in enumerate(moments) if at <= read)
            if found == newest:
                continue  # an earlier reading found it already
            newest = found
            at, count = moments[found]
            ref = f"a-{made.id}-{len(lines) + 1}"
            lines.append(Line(read, ref, "advisory", label, self._issue(made, posts[:count], at)))
        return lines

    def _poll(self, draw: Draw) -> int:
        return round(draw.uniform(*self._p["poll_seconds"]) * SECOND)

    def _issue(self, made: Advisory, posts: Sequence[_Post], modified: int) -> dict[str, Any]:
        last = posts[-1]
        closed = last.status in RESOLVED
        start = made.field_start
        if closed and made.stated_start is not None:
            start = made.stated_start  # on closure the field jumps back to what the text says
        feature, group = prose.FEATURES[made.service]
        over = last.status in {"serviceRestored", "postIncidentReviewPublished"}
        return {
            "startDateTime": _graph(start),
            "endDateTime": _graph(made.resolved) if closed and made.resolved else None,
            "lastModifiedDateTime": _graph(modified, fraction=True),
            "title": last.title,
            "id": made.id,
            "impactDescription": prose.impact(made.service, made.symptom, over=over),
            "classification": made.classification,
            "origin": made.plan.origin,
            "status": last.status,
            "service": prose.NAMES[made.service],
            "feature": feature,
            "featureGroup": group,
            "isResolved": closed,
            "highImpact": None,
            "details": [],
            "posts": [
                {
                    "createdDateTime": _graph(post.at, fraction=True),
                    "postType": "regular",
                    "description": {"contentType": "html", "content": post.text},
                }
                for post in posts
            ],
        }


def _moment(at: int | None) -> datetime | None:
    return None if at is None else moment(at)


def _graph(at: int, *, fraction: bool = False) -> str:
    """An instant as Graph writes it: seconds, or with the fraction and no trailing zeros."""
    text = f"{moment(at):%Y-%m-%dT%H:%M:%S}"
    ms = f"{at % 1000:03d}".rstrip("0")
    return f"{text}.{ms}Z" if fraction and ms else f"{text}Z"
