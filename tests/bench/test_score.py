"""The judge on hand-made truth: each kind of right and wrong is counted where it belongs."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from app.core.policy import DEFAULT_POLICY
from app.core.types import TenantId
from app.flow.offline import Offline
from app.sources.recorded import Line
from bench.evaluate import story
from bench.evaluate.baselines import BASELINES
from bench.evaluate.score import RunScore, score
from bench.evaluate.story import Claim, Story, simple_claim
from bench.evaluate.table import by_scenario, rows
from bench.evaluate.targets import targets
from bench.evaluate.truth import Allowed, Fault, Truth
from bench.evaluate.verdict import losses
from tests.core.play import PROFILE, advisory, at, outage, reports

EX, TM = "exchange-online", "microsoft-teams"


def a_fault(name: str, start: str, end: str, *services: str, **more: Any) -> Fault:
    return Fault(id=name, services=services or (EX,), spells=((at(start), at(end)),),
                 **{"origin": "vendor", **more})  # fmt: skip


def lines_of(**parts: Any) -> tuple[list[Line], dict[str, str | None]]:
    """Lines of signals by label; ``noise`` is no fault."""
    lines, labels = [], {}
    for label, signals in parts.items():
        for number, signal in enumerate(signals):
            ref = f"{label}-{number}"
            labels[ref] = None if label == "noise" else label
            lines.append(Line(ref=ref, tenant=TenantId("contoso"), signal=signal,
                              received_at=signal.received_at))  # fmt: skip
    return sorted(lines, key=lambda line: line.received_at), labels


def some(seed: int, start: str, end: str, *services: str) -> Any:
    return reports(at(start), at(end), per_minute=1, seed=seed, services=services or (EX,))


def judged(
    faults: list[Fault], claims: list[Claim], holders: Mapping[str, str | None], **parts: Any
) -> RunScore:
    lines, labels = lines_of(**parts)
    held = {line.ref: holders.get(line.ref.split("-")[0]) for line in lines}
    truth = Truth(faults=tuple(faults), labels=labels)
    return score(Story(claims=tuple(claims), holders=held), truth, lines)


def a_claim(name: str, start: str, end: str | None, *services: str, **more: Any) -> Claim:
    return simple_claim(name, services=services or (EX,), start=at(start),
                        end=at(end) if end else None, **more)  # fmt: skip


def test_a_claim_in_time_on_the_right_place_is_right() -> None:
    fault = a_fault("f", "06:00", "07:00", first_failing_at=at("06:00"))
    found = judged([fault], [a_claim("c", "06:02", "07:06")], {"f": "c"},
                   f=some(1, "06:00", "07:00"))  # fmt: skip
    (row,) = found.faults
    assert (row.claim, row.said, row.delay, row.close_error) == ("c", "vendor", 120, 360)
    assert not row.premature
    assert not row.zombie
    assert found.partition["pair_f1"] == 1
    assert losses(found.document()) == []


def test_a_miss_is_an_infinite_delay_and_a_claim_elsewhere_is_false() -> None:
    found = judged([a_fault("f", "06:00", "07:00")], [a_claim("c", "06:02", "07:06", TM)], {},
                   f=some(1, "06:00", "07:00"))  # fmt: skip
    assert found.faults[0].delay == float("inf")
    assert [row.verdict for row in found.claims] == ["false"]
    assert losses(found.document()) == ["f missed", "false incident (vendor)"]


def test_a_fault_that_nobody_could_see_is_not_demanded() -> None:
    found = judged([a_fault("f", "06:00", "07:00")], [], {})
    assert not found.faults[0].seen
    assert losses(found.document()) == []


def test_one_fault_in_two_incidents_is_a_fragment() -> None:
    lines = some(1, "06:00", "07:00")
    claims = [a_claim("c", "06:02", "06:30"), a_claim("d", "06:35", "07:05")]
    lines_, labels = lines_of(f=lines)
    holders = {x.ref: "c" if x.received_at < at("06:32") else "d" for x in lines_}
    truth = Truth(faults=(a_fault("f", "06:00", "07:00"),), labels=labels)
    found = score(Story(claims=tuple(claims), holders=holders), truth, lines_)
    assert found.faults[0].fragments == 2
    assert sorted(row.verdict for row in found.claims) == ["fragment", "right"]
    assert found.faults[0].premature == (found.faults[0].claim == "c")


def test_two_faults_in_one_incident_are_merged_and_one_is_missed() -> None:
    faults = [a_fault("f", "06:00", "07:00"), a_fault("g", "06:00", "07:00", TM)]
    found = judged(faults, [a_claim("c", "06:02", "07:05", EX, TM)], {"f": "c", "g": "c"},
                   f=some(1, "06:00", "07:00"), g=some(2, "06:00", "07:00", TM))  # fmt: skip
    assert found.claims[0].covers == ["f", "g"]
    assert sorted(bool(row.claim) for row in found.faults) == [False, True]


@pytest.mark.parametrize(
    ("end", "premature", "zombie"),
    [("06:50", True, False), ("06:56", False, False), ("08:01", False, True), (None, False, True)],
)
def test_closing_is_judged_against_the_true_end(
    end: str | None, premature: object, zombie: object
) -> None:
    found = judged([a_fault("f", "06:00", "07:00")], [a_claim("c", "06:02", end)], {"f": "c"},
                   f=some(1, "06:00", "07:00"))  # fmt: skip
    assert (found.faults[0].premature, found.faults[0].zombie) == (premature, zombie)


def test_an_advisory_is_right_on_its_fault_wrong_on_another_and_apart_alone() -> None:
    faults = [a_fault("f", "06:00", "07:00"), a_fault("g", "06:00", "07:00", TM)]
    claims = [a_claim("c", "06:02", "07:05", links={"EX1": at("06:43")}),
              a_claim("d", "06:02", "07:05", TM)]  # fmt: skip
    posts = {"f": "c", "g": "d"}
    shown = {"f": [*some(1, "06:00", "07:00"), advisory(1, "06:43", "investigating",
                                                        vendor_id="EX1")],
             "g": some(2, "06:00", "07:00", TM)}  # fmt: skip

    def attach(holder: str | None) -> dict[str, str]:
        lines, labels = lines_of(**shown)
        holders = {x.ref: posts[x.ref.split("-")[0]] for x in lines}
        holders["f-" + str(len(shown["f"]) - 1)] = holder
        story_ = Story(claims=tuple(claims), holders=holders)
        return score(story_, Truth(faults=tuple(faults), labels=labels), lines).faults[0].attach

    assert attach("c") == {"EX1": "right"}
    assert attach("d") == {"EX1": "wrong"}
    assert attach(None) == {"EX1": "apart"}


def test_a_decoy_on_a_fault_is_wrong() -> None:
    found = judged([a_fault("f", "06:00", "07:00")], [a_claim("c", "06:02", "07:05")],
                   {"f": "c", "noise": "c"}, f=some(1, "06:00", "07:00"),
                   noise=[advisory(1, "06:43", "investigating", vendor_id="EX9")])  # fmt: skip
    assert found.stray == {"EX9": "wrong"}


def test_what_is_only_suspected_holds_nothing_and_a_decoy_alone_costs_nothing() -> None:
    shown = {"noise": [*some(1, "06:00", "06:10"),
                       advisory(1, "06:43", "investigating", vendor_id="EX9"),
                       advisory(2, "06:53", "investigating", vendor_id="EX9")]}  # fmt: skip
    lines, labels = lines_of(**shown)
    suspected = a_claim("c", "06:02", "06:20")
    suspected.claimed_at = None
    alone = a_claim("v", "06:43", None, by_vendor=True)
    holders = {x.ref: "v" if x.signal.id.startswith("EX") else "c" for x in lines}
    truth = Truth(faults=(), labels=labels)
    found = score(Story(claims=(suspected, alone), holders=holders), truth, lines)
    assert found.partition["bcubed_f1"] is None
    suspected.claimed_at = suspected.shown_at
    firm = score(Story(claims=(suspected, alone), holders=holders), truth, lines)
    assert firm.partition["pair_f1"] == 0


def test_an_incident_of_a_broken_probe_host_is_allowed_where_the_truth_says_so() -> None:
    lines, labels = lines_of(noise=some(1, "06:00", "06:30"))
    claim = a_claim("c", "06:05", "06:40", origin="local")
    allowed = Allowed(start=at("06:00"), end=at("06:30"), origins=frozenset({"local"}))

    def verdict(*known: Allowed) -> str:
        truth = Truth(faults=(), labels=labels, allowed=known)
        return score(Story(claims=(claim,), holders={}), truth, lines).claims[0].verdict

    assert verdict(allowed) == "allowed"
    assert verdict() == "false"
    claim.origins[-1] = (at("06:06"), "vendor")
    assert verdict(allowed) == "false"


@pytest.fixture(scope="module")
def told() -> tuple[list[Line], Truth, Story]:
    lines, _ = lines_of(all=outage())
    labels = {x.ref: None for x in lines}
    for line in lines:
        name = line.signal.id
        bad = (
            name.startswith(("r-3-", "r-4-", "EX")) or getattr(line.signal, "http_status", 0) == 503
        )
        labels[line.ref] = "local" if name.startswith("r-2-") else "ex" if bad else None
        if name.startswith("p-") and line.received_at < at("06:05"):
            labels[line.ref] = None
    faults = (
        a_fault("local", "05:10", "05:35", EX, TM, "sharepoint-online", origin="local"),
        a_fault("ex", "06:05", "08:35"),
    )
    ran = Offline(profile=PROFILE, policy=DEFAULT_POLICY, tick=60).run(lines)
    return lines, Truth(faults=faults, labels=labels), story.read(ran)


def test_the_outage_of_the_tests_is_judged_as_told(told: tuple[list[Line], Truth, Story]) -> None:
    lines, truth, read = told
    found = score(read, truth, lines)
    assert losses(found.document()) == []
    assert [row.said for row in found.faults] == ["local", "vendor"]
    assert found.faults[1].attach == {"EX931445": "right"}
    assert found.faults[1].lead == pytest.approx(36 * 60, abs=180)
    assert (found.partition["bcubed_f1"] or 0) > 0.98
    assert found.faults[1].attach_seconds == [0.0]


def test_the_baselines_tell_what_their_rules_say(told: tuple[list[Line], Truth, Story]) -> None:
    lines, truth, _ = told
    by_name = {name: rule(lines, PROFILE.users) for name, rule in BASELINES.items()}
    vendor = score(by_name["vendor"], truth, lines)
    assert [row.said for row in vendor.faults] == [None, "vendor"]
    assert vendor.faults[1].delay == pytest.approx(38 * 60, abs=60)
    static = score(by_name["threshold"], truth, lines)
    assert static.faults[1].delay < 5 * 60
    assert static.faults[0].said == "vendor"  # it knows no other origin
    assert len(by_name["window"].claims) > 3 * len(truth.faults)


def test_the_tables_hold_every_run(told: tuple[list[Line], Truth, Story]) -> None:
    lines, truth, read = told
    runs = [
        {"scenario": "outage", "number": 1, "seed": seed, "users": 5200, "watch": "probes 60 s",
         "weeks": 0.1, "signals": len(lines), "fold_seconds": 1.0, "state_bytes": 1000,
         "steps": 1, "scores": {"sextant": score(read, truth, lines).document()}}
        for seed in range(3)
    ]  # fmt: skip
    assert list(by_scenario(runs)) == ["outage"]
    assert len(list(rows(runs))) == 3
    found = {target.name: target for target in targets(runs)}
    assert found["vendor-fault recall"].figure.n == 3
    assert found["vendor-fault recall"].verdict == "met?"  # three faults prove nothing
    assert found["fragmentation"].figure.value == 1
    assert found["earlier than the vendor"].is_met


def test_a_claim_that_was_merged_gives_its_times_to_the_survivor() -> None:
    one, other = a_claim("c", "06:02", "07:00"), a_claim("d", "06:05", "07:00")
    one.merged_into = "d"
    read = Story(claims=(one, other), holders={})
    assert read.survivor(one) is other
    assert read.living == [other]
    assert one.claimed_at == at("06:05") - timedelta(minutes=3)
