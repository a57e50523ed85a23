"""Explanation: the evidence for and against, as sentences with figures; weights are nats."""

from collections.abc import Sequence
from datetime import datetime
from math import exp, log

from app.core import desync
from app.core.disturbance import Disturbance, symptoms_of
from app.core.incident import LinkedAdvisory, Reason
from app.core.policy import Policy
from app.core.signal import Advisory
from app.core.state import instant_of
from app.core.types import SourceKind, Status

ONSETS_PER_MINUTE = 7e-5  # three outages a month, as the prior hazard (correlation notes, 3)
CERTAIN = 0.999  # more is never claimed
EVEN = 1.0  # odds that are claimed at most while one group of witnesses stands alone
FADE = 0.7  # nats that each minute in which no other group joins speaks against it
FADED_MINUTES = 5  # after so many it does not speak any louder
VENDOR_NATS = {"incident": log(20.0), "advisory": log(3.0)}  # most that the vendor may add
WORDS = {
    "http_5xx": "server errors",
    "timeout": "time-outs",
    "connection_failed": "failed connections",
    "dns_failure": "names that do not resolve",
    "tls_failure": "TLS failures",
    "auth_loop": "endless sign-in prompts",
    "auth_rejected": "refused sign-ins",
    "throttled": "throttling",
    "slow": "slowness",
    "mail_delayed": "delayed mail",
    "mail_rejected": "rejected mail",
    "sync_failed": "failed synchronization",
    "not_found": "things not found",
    "content_error": "wrong content",
    "data_stale": "stale data",
    "other": "other errors",
}


def probability(peak: float) -> float:
    """Probability that the trouble is real, from the highest evidence ratio and the prior."""
    odds = ONSETS_PER_MINUTE * peak
    return min(odds / (1 + odds), CERTAIN)


def probability_alone(peak: float, minutes: int) -> float:
    """The same while no second group agrees: one group may be wrong as a whole, however loud.

    Args:
        peak: highest evidence ratio.
        minutes: since it was suspected.
    """
    odds = min(ONSETS_PER_MINUTE * peak, EVEN) * exp(-_fade(minutes))
    return odds / (1 + odds)


def _fade(minutes: int) -> float:
    return FADE * min(max(minutes, 0), FADED_MINUTES)


def alone_reason(minutes: int, *, at: datetime) -> Reason:
    """What it says against a suspicion that no other group of witnesses joins."""
    nats = _fade(minutes)
    text = f"no second group of witnesses joined within {min(minutes, FADED_MINUTES)} min"
    return _reason("alone", -nats, f"{text} ({signed(-nats)})", source=None, at=at)


def listed(names: Sequence[str], *, limit: int = 4) -> str:
    """Join names as a sentence does: ``a, b and c``; the rest is counted."""
    shown = list(names[:limit])
    if len(names) > limit:
        shown.append(f"{len(names) - limit} more")
    if len(shown) < 2:  # noqa: PLR2004 - one name needs no "and"
        return "".join(shown)
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def symptom_words(names: Sequence[str], *, limit: int = 3) -> str:
    """Put symptoms into words for a title or a sentence."""
    return listed([WORDS.get(name, name) for name in names], limit=limit)


def signed(nats: float) -> str:
    """Write a weight as people read it: ``+14.1`` or ``-9.6``."""
    return f"{nats:+.1f}"


def _reason(
    reason: str, nats: float, text: str, *, source: SourceKind | None, at: datetime
) -> Reason:
    return Reason(
        reason=reason,
        effect="-" if nats < 0 else "+",
        weight=round(abs(nats), 1),
        text=text,
        source=source,
        at=at,
    )


def own_reasons(disturbance: Disturbance, policy: Policy) -> list[Reason]:
    """What our own evidence says for and against, as it stood when it was detected."""
    lead = disturbance.lead
    at = instant_of(lead.suspected)
    result = []
    if lead.actors_at_opening:
        minutes = lead.suspected - lead.onset + 1
        text = (
            f"{lead.actors_at_opening} distinct users in {minutes} min where "
            f"{lead.expected_at_opening:.2g} were expected ({signed(lead.report_nats)})"
        )
        result.append(
            _reason("reports_burst", lead.report_nats, text, source=SourceKind.CLIENT_REPORT, at=at)
        )
    if lead.failing_at_opening:
        total = len(lead.locations)
        names = listed(lead.failing_at_opening)
        text = (
            f"{len(lead.failing_at_opening)} of {total} locations fail: {names}"
            f" ({signed(lead.probe_nats)})"
        )
        result.append(
            _reason("probes_failing", lead.probe_nats, text, source=SourceKind.PROBE, at=at)
        )
    elif lead.clean_at_opening and lead.probe_nats <= 0:
        text = f"probes were still well at {listed(lead.clean_at_opening)}"
        result.append(
            _reason(
                "probes_clean", min(lead.probe_nats, -0.1), text, source=SourceKind.PROBE, at=at
            )
        )
    prior = log(ONSETS_PER_MINUTE)
    result.append(
        _reason("prior", prior, f"outages are rare ({signed(prior)})", source=None, at=at)
    )
    result.append(
        _reason(f"origin_{disturbance.origin}", 0.0, disturbance.origin_text, source=None, at=at)
    )
    return result + _apart(disturbance, policy) + _later_reasons(disturbance, policy)


def _apart(disturbance: Disturbance, policy: Policy) -> list[Reason]:
    """Whether sign-in and mailbox have come apart; it adds no weight, its signals have theirs."""
    start, end = disturbance.onset, disturbance.last_bad
    people = policy.quorum_actors
    heard = desync.told_by_people(disturbance.cells, start, end, people=people)
    places = desync.told_by_checks(disturbance.tracks, start, end)
    if heard is None and not places:
        return []
    who = [f"at least {people} users are asked for their password again and again"] if heard else []
    if places:
        who.append(f"a fresh token is refused at {listed(places)}")
    text = f"token issued, mailbox refuses: {'; '.join(who)}"
    source = SourceKind.PROBE if places else SourceKind.CLIENT_REPORT
    return [_reason("tier_desync", 0.0, text, source=source, at=instant_of(heard or start))]


def _later_reasons(disturbance: Disturbance, policy: Policy) -> list[Reason]:
    lead = disturbance.lead
    result = []
    confirmed = [f for f in disturbance.findings if f.confirmed is not None]
    if confirmed:
        first = min(confirmed, key=lambda f: (f.confirmed or 0, f.domain))
        at = instant_of(first.confirmed or 0)
        bound = log(policy.threshold)
        text = (
            f"evidence passed the bound of {bound:.1f} nats with independent groups agreeing"
            f" (false claims at most {policy.false_incidents_per_week:g} a week)"
        )
        result.append(_reason("quorum", bound, text, source=None, at=at))
    if disturbance.most_failing > len(lead.failing_at_opening):
        text = f"at the worst {disturbance.most_failing} of {len(disturbance.locations)} locations"
        result.append(
            _reason(
                "probes_failing",
                max(f.probe_peak for f in disturbance.findings),
                f"{text} failed",
                source=SourceKind.PROBE,
                at=instant_of(disturbance.last_bad),
            )
        )
    alone = lead.reports_alone
    if alone is not None and lead.failing_at_opening:
        text = f"would have been suspected at {instant_of(alone):%H:%M} on reports alone"
        result.append(
            _reason(
                "reports_alone", 0.0, text, source=SourceKind.CLIENT_REPORT, at=instant_of(alone)
            )
        )
    others = [f for f in disturbance.findings if f.domain != lead.domain]
    for finding in others:
        name = finding.domain.removeprefix("service:")
        text = f"{name} failed within {finding.onset - lead.onset} min: taken as one cause"
        result.append(
            _reason("common_cause", 0.0, text, source=None, at=instant_of(finding.suspected))
        )
    return result


def advisory_reason(advisory: Advisory, linked: LinkedAdvisory, *, alone: bool) -> Reason:
    """Why an advisory belongs to an incident, or opened it."""
    nats = VENDOR_NATS.get(advisory.classification.lower(), 0.0)
    at = linked.linked_at or advisory.received_at
    if alone:
        text = f"Microsoft reports {advisory.vendor_id}: {advisory.title} ({signed(nats)})"
        word = "primed" if advisory.primed else "vendor_reported"
        return _reason(word, nats, text, source=SourceKind.ADVISORY, at=at)
    text = (
        f"{advisory.vendor_id} fits by service, time and scope (score {linked.score:.2f},"
        f" {signed(nats)})"
    )
    return _reason("advisory_fits", nats, text, source=SourceKind.ADVISORY, at=at)


def resolved_reason(status: Status, text: str, *, against: bool, at: datetime) -> Reason:
    """Why an incident ended, or why it has not."""
    return Reason(
        reason=f"status_{status}",
        effect="-" if against else "+",
        weight=0.0,
        text=text,
        source=None,
        at=at,
    )


def title_of(names: Sequence[str], disturbance: Disturbance) -> str:
    """Name a fault by service and what users meet."""
    what = symptom_words(symptoms_of(disturbance.size))
    if disturbance.networks:
        alone = "this network" if len(disturbance.networks) == 1 else "these networks"
        return f"{listed(disturbance.networks)}: several services fail from {alone} alone"
    return f"{listed(list(names))}: {what}" if what else f"{listed(list(names))}: failing"


def summary_of(
    disturbance: Disturbance, advisories: Sequence[LinkedAdvisory], *, hears_vendor: bool
) -> str:
    """Say in two sentences who is hit since when, and what the vendor says."""
    size = disturbance.size
    since = instant_of(disturbance.onset)
    parts = [f"{size.reporters} users reported {size.reports} errors since {since:%H:%M} UTC"]
    if disturbance.locations:
        parts.append(
            f"{len(disturbance.failing_now)} of {len(disturbance.locations)} locations fail now"
        )
    text = "; ".join(parts) + "."
    if advisories:
        said = ", ".join(f"{a.id} ({a.status})" for a in advisories)
        return f"{text} Microsoft: {said}."
    if not hears_vendor:
        return f"{text} What Microsoft says is not read now."
    return f"{text} Microsoft has published nothing that fits."
