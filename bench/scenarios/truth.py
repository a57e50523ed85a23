"""What really happened, as a document: faults, advisories, adversaries, and what to expect."""

from collections.abc import Sequence
from typing import Any

from bench.scenarios.almanac import stamp
from bench.scenarios.faults import Fault
from bench.scenarios.spec import SERVICES
from bench.scenarios.vendor import Advisory
from bench.scenarios.world import World

VERSION = 1
ORIGINS = {
    "vendor": "vendor",
    "regional": "vendor",
    "local": "local",
    "identity": "identity",
    "third_party": "third_party",
}
NOISE = {
    "background": "an error of any day",
    "healthy": "a probe result that says well",
    "probe_false": "a probe that failed by chance",
    "flapping_probe": "one check at one vantage that comes and goes",
    "probe_host": "a vantage whose host is broken",
    "probe_certificate": "a vantage whose trust store is out of date",
    "noisy_client": "one program of one person that fails on and on",
    "actor_storm": "a script that makes up reporters, from one network",
    "replayed_batch": "old reports sent again",
    "decoy": "an advisory about something that this tenant does not feel",
    "false_positive": "an advisory that the vendor takes back",
    "only": "an advisory without any trouble here",
}


def tell(
    world: World,
    faults: Sequence[Fault],
    advisories: Sequence[Advisory],
    adversaries: Sequence[dict[str, Any]],
    end: int,
) -> dict[str, Any]:
    """The truth of a scenario; instants are RFC 3339, durations are not given."""
    plan = world.plan
    told = [_fault(world, fault, advisories) for fault in faults]
    return {
        "version": VERSION,
        "scenario": plan.name,
        "number": plan.number,
        "title": plan.title,
        "story": plan.story,
        "tags": plan.tags,
        "seed": world.seed,
        "tenant": world.tenant,
        "users": world.users,
        "services": [SERVICES[s] for s in world.services],
        "probes": {
            "services": [SERVICES[s] for s in world.checks],
            "locations": world.vantages,
            "interval_seconds": world.parameters["probes"]["interval_seconds"],
        },
        "from": stamp(world.begin),
        "first_day": stamp(world.zero),
        "until": stamp(end),
        "expected": {**_expected(told, advisories), **plan.expect},
        "faults": told,
        "advisories": [_advisory(a) for a in advisories],
        "adversaries": list(adversaries),
        "actions": [
            {"at": stamp(world.almanac.parse(action.at)), "do": action.do}
            for action in plan.actions
        ],
        "noise_labels": NOISE,
    }


def _expected(told: Sequence[dict[str, Any]], advisories: Sequence[Advisory]) -> dict[str, int]:
    """How many incidents there should be: with evidence of our own, and by the vendor's word."""
    seen = {fault["id"] for fault in told if fault["visible"]}
    unseen = {a.fault or a.id for a in advisories if a.fault not in seen}
    detected = sum(fault["expected_incidents"] for fault in told if fault["required"])
    return {
        "incidents": detected + len(unseen),
        "detected": detected,
        "vendor_reported": len(unseen),
        "optional": sum(fault["visible"] and not fault["required"] for fault in told),
    }


def _fault(world: World, fault: Fault, advisories: Sequence[Advisory]) -> dict[str, Any]:
    about = [a for a in advisories if a.fault == fault.id]
    regions = {s["region"] for s in world.sites if s["name"] in fault.sites}
    return {
        "id": fault.id,
        "kind": fault.plan.kind,
        "origin": ORIGINS[fault.plan.kind],
        "services": [SERVICES[s] for s in fault.plan.services],
        "feature": fault.plan.feature or None,
        "sites": fault.sites,
        "regions": sorted(regions),
        "networks": fault.networks,
        "locations": fault.vantages,
        "severity": round(fault.severity, 4),
        "class": fault.weight,
        "probe_failure": round(fault.probe, 4),
        "symptoms": sorted({word for mix in fault.mix.values() for word in mix}),
        "onset": stamp(fault.onset),
        "end": stamp(fault.end),
        "spans": [[stamp(a), stamp(b)] for a, b in fault.spans],
        "phases": [[stamp(a), stamp(b)] for a, b in fault.phases],
        "visible": fault.plan.visible and fault.first_signal is not None,
        "required": fault.plan.required and fault.plan.visible and fault.first_signal is not None,
        "first_failing_at": _when(fault.first_met),
        "first_signal_at": _when(fault.first_signal),
        "first_received_at": _when(fault.first_arrival),
        "advisories": [a.id for a in about],
        "published_at": _when(min((a.posted for a in about), default=None)),
        "first_read_at": _when(min((a.lines[0].at for a in about), default=None)),
        "expected_incidents": fault.plan.incidents,
    }


def _advisory(advisory: Advisory) -> dict[str, Any]:
    return {
        "id": advisory.id,
        "role": advisory.role,
        "fault": advisory.fault,
        "service": SERVICES[advisory.service],
        "listed": [SERVICES[s] for s in advisory.listed],
        "classification": advisory.classification,
        "published_at": stamp(advisory.posted),
        "first_read_at": stamp(advisory.lines[0].at),
        "stated_start": _when(advisory.stated_start),
        "resolved_at": _when(advisory.resolved),
        "statuses": advisory.statuses,
    }


def _when(at: int | None) -> str | None:
    return None if at is None else stamp(at)
