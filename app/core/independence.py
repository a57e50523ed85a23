"""Independence: which channels an incident touches, and by which way a message goes instead.

A channel names the services that it depends on; the catalogue adds what these depend on in turn.
A message must never rely only on what is down.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from app.core.announce import WAITS, ChannelFacts, Hold, NoticePhase, Send, Verdict
from app.core.catalogue import depends_on, display_name, is_known
from app.core.incident import Incident
from app.core.message import Mark, holds
from app.core.types import OPEN_STATUSES

SPARED = "A spare: used when no other channel of its audience can be relied on."


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A channel or mirror as far as its independence goes; slugs in ``depends_on``.

    A ``spare`` is used only while no other can be relied on.
    """

    name: str
    depends_on: tuple[str, ...] = ()
    spare: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Impaired:
    """Why a way is not to be relied on.

    ``service`` is the one that an incident touches; ``through`` the chain from what the way names
    to it, empty when the way names it itself. ``incidents`` are numbers of the incidents.
    """

    name: str
    service: str
    through: tuple[str, ...] = ()
    incidents: tuple[str, ...] = ()

    @property
    def direct(self) -> bool:
        """Whether the way itself names the service; else it may work all the same."""
        return not self.through


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Which ways a message takes now.

    ``send_on`` are names in the order of the plan. ``skipped`` are impaired ones that get the
    message once they are well again. ``doubtful`` ways are impaired only through the catalogue:
    they are used, but not relied on. ``spared`` are spare ones that are not needed.
    ``independent`` says that at least one way used is touched by no open incident. ``marks`` say
    to the reader what is unusual about the way.
    """

    send_on: tuple[str, ...]
    skipped: tuple[Impaired, ...] = ()
    doubtful: tuple[Impaired, ...] = ()
    spared: tuple[str, ...] = ()
    independent: bool = True
    marks: tuple[Mark, ...] = ()


def needs(slugs: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Everything that must work: slug → the shortest chain that leads to it, empty for its own."""
    chains: dict[str, tuple[str, ...]] = dict.fromkeys(sorted(slugs), ())
    frontier = list(chains)
    while frontier:
        following = []
        for slug in frontier:
            for below in depends_on(slug):
                if below not in chains:
                    chains[below] = (*chains[slug], slug)
                    following.append(below)
        frontier = following
    return chains


def impairment(way: Way, incidents: Sequence[Incident]) -> Impaired | None:
    """Say why a way is not to be relied on while these incidents are open; None: it is."""
    touched: dict[str, list[str]] = {}
    for incident in incidents:
        if incident.status in OPEN_STATUSES:
            for service in incident.services:
                touched.setdefault(service, []).append(incident.number)
    chains = needs(way.depends_on)
    hit = sorted((len(chains[s]), s) for s in touched if s in chains)
    if not hit:
        return None
    service = hit[0][1]
    numbers = tuple(sorted(touched[service]))
    return Impaired(name=way.name, service=service, through=chains[service], incidents=numbers)


def choose(plan: Sequence[Way], incidents: Sequence[Incident]) -> Route:
    """Choose the ways of a message, so that it never relies only on what is down.

    Every way that is no spare and untouched is used; without one, the first spare that is. A way
    that an incident touches only through the catalogue is used as well, since it may work, but
    never alone. When every way is touched, all are used: better than silence, and marked.
    """
    verdicts = {way.name: impairment(way, incidents) for way in plan}
    touched = [v for way in plan if (v := verdicts[way.name]) is not None and not way.spare]
    well = [way.name for way in plan if verdicts[way.name] is None and not way.spare]
    if not well:
        well = [way.name for way in plan if verdicts[way.name] is None][:1]
    if not well:
        everything = tuple(way.name for way in plan)
        all_touched = tuple(v for v in verdicts.values() if v is not None)
        marks = tuple(_mark("all_impaired", found) for found in all_touched)
        return Route(send_on=everything, doubtful=all_touched, independent=False, marks=marks)
    doubtful = tuple(v for v in touched if not v.direct)
    skipped = tuple(v for v in touched if v.direct)
    used = {*well, *(v.name for v in doubtful)}
    return Route(
        send_on=tuple(way.name for way in plan if way.name in used),
        skipped=skipped,
        doubtful=doubtful,
        spared=tuple(way.name for way in plan if way.spare and way.name not in used),
        marks=(
            *(_mark("instead", found) for found in skipped),
            *(_mark("doubtful", found) for found in doubtful),
        ),
    )


def _mark(word: str, found: Impaired) -> Mark:
    return Mark(word=word, facts={"channel": found.name, "service": found.service})


def to_repeat(
    skipped: Iterable[str], plan: Sequence[Way], incidents: Sequence[Incident]
) -> tuple[str, ...]:
    """Of the ways that were skipped: those that are well again, so that the message follows."""
    wanted = set(skipped)
    return tuple(
        way.name for way in plan if way.name in wanted and impairment(way, incidents) is None
    )


def late_mark(channel: str) -> Mark:
    """The remark of a message that follows on a way that was impaired when it was due."""
    return Mark(word="late", facts={"channel": channel, "service": ""})


def shared_needs(plan: Sequence[Way]) -> tuple[str, ...]:
    """Services of the catalogue whose fault would silence every way of a plan; sorted.

    Empty is what one wants: whatever one service does, some way is left.
    """
    if not plan:
        return ()
    common = set(needs(plan[0].depends_on))
    for way in plan[1:]:
        common &= set(needs(way.depends_on))
    return tuple(sorted(slug for slug in common if is_known(slug)))


def warnings_of(plan: Sequence[ChannelFacts]) -> tuple[str, ...]:
    """Say, for each audience, whether one service could silence all of its channels; sentences."""
    said = []
    for audience in dict.fromkeys(one.audience for one in plan):
        some = [one for one in plan if one.audience is audience]
        shared = shared_needs([way_of(one) for one in some])
        if shared:
            whom = audience.value.replace("_", " ")
            names = ", ".join(one.name for one in some)
            said.append(
                f"All your channels for {whom} ({names}) depend on Microsoft 365: a fault of "
                f"{', '.join(display_name(slug) for slug in shared)} silences them all."
            )
    return tuple(said)


def verdicts_of(
    incident: Incident,
    living: Sequence[Incident],
    plan: Sequence[ChannelFacts],
    remark: Callable[[Mark, str], str],
) -> dict[str, Verdict]:
    """Say of each channel of a tenant whether it is used now; the plan of an audience is by itself.

    Args:
        incident: what is to be told.
        living: every incident of the tenant that is not closed.
        plan: the channels of the tenant, in the order of the settings.
        remark: makes the sentence of a mark in a language.
    """
    found: dict[str, Verdict] = {}
    for audience in dict.fromkeys(one.audience for one in plan):
        some = [one for one in plan if one.audience is audience]
        route = choose([way_of(one) for one in some], living)
        skipped = {one.name: one for one in route.skipped}
        for channel in some:
            if channel.name in skipped:
                found[channel.name] = Hold(why=_why(skipped[channel.name]))
            elif channel.name in route.spared:
                found[channel.name] = Hold(why=SPARED, for_later=False, until_begun=True)
            else:
                marks = [remark(mark, channel.language) for mark in route.marks]
                found[channel.name] = _let_out(incident, channel, " ".join(marks))
    return found


def way_of(channel: ChannelFacts) -> Way:
    """A channel as a way."""
    return Way(name=channel.name, depends_on=channel.depends_on, spare=channel.spare)


def _why(found: Impaired) -> str:
    numbers = ", ".join(found.incidents)
    chain = " → ".join((*found.through, found.service))
    return f"{found.name} depends on {chain}, which {numbers} touches; it follows after recovery."


def _let_out(incident: Incident, channel: ChannelFacts, mark: str) -> Verdict:
    """Use it, if a rule or a person lets this message out and what it says is still so."""
    if channel.automatic:
        return Send(mark=mark)
    mine = (channel.audience, channel.language)
    said = [a for a in incident.approvals if (a.audience, a.language) == mine]
    if not said or not holds(incident, NoticePhase(said[-1].phase)):
        return Hold(why=WAITS, for_later=False)
    return Send(mark=mark, let_out=said[-1])
