"""The generator draws what its tables say: rates, delays, shares and medians within tolerance."""

import math
import statistics
from collections import Counter
from datetime import date, datetime
from functools import cache
from itertools import pairwise

import pytest

from bench.scenarios import Line, Scenario, generate
from bench.scenarios.almanac import HOUR, MINUTE, Almanac, stamp
from bench.scenarios.draw import Draw, key, mix

CALM = {  # no clock is off, nobody hurries: what is left is the figure that is looked at
    "transport.skew_seconds": 0.0,
    "transport.wrong_clock": 0.0,
    "reporting.hurry": [1.0, 1.0],
}
STREAM = [0.376507061006, 0.77033563544]
NUMBERS = (10451216379200822465, 39042576805245839)


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def near(value: float, wanted: float, share: float) -> bool:
    return abs(value - wanted) <= share * wanted


@cache
def outage() -> tuple[Scenario, tuple[Line, ...]]:
    settings = {**CALM, "background.per_user_hour": 0.0}
    made = generate("restart_mid_outage", 4, users=6000, history_days=1, settings=settings)
    return made, tuple(made.lines())


@cache
def faults(count: int = 24) -> list[dict]:
    """The faults of many weeks; only the truth is made, no line."""
    found = []
    for seed in range(count):
        settings = {"probes.coverage": 0.0, "random.adversaries_per_week": 0.0}
        made = generate("random", seed, users=60, weeks=12, history_days=0, settings=settings)
        truth = made.truth
        advisories = {a["id"]: a for a in truth["advisories"]}
        for fault in truth["faults"]:
            fault["posted"] = [advisories[one] for one in fault["advisories"]]
            found.append(fault)
    return found


def test_the_streams_are_those_of_every_version_of_python() -> None:
    draw = Draw("stable", 1)
    assert [round(draw.random(), 12) for _ in range(2)] == STREAM
    assert (mix(1), key("a", 2)) == NUMBERS


def test_the_distributions_have_their_moments() -> None:
    draw = Draw("moments")
    normal = [draw.normal() for _ in range(20_000)]
    assert abs(statistics.fmean(normal)) < 0.03
    assert near(statistics.pstdev(normal), 1.0, 0.03)
    assert near(statistics.fmean(draw.exponential(7.0) for _ in range(20_000)), 7.0, 0.03)
    assert near(statistics.median(draw.lognormal(74, 1.1) for _ in range(20_000)), 74, 0.04)
    gamma = [draw.gamma(4) for _ in range(20_000)]
    assert near(statistics.fmean(gamma), 1.0, 0.02)
    assert near(statistics.pvariance(gamma), 0.25, 0.06)
    for mean in (0.3, 5.0, 90.0):
        counts = [draw.poisson(mean) for _ in range(8_000)]
        assert near(statistics.fmean(counts), mean, 0.04)
        assert near(statistics.pvariance(counts), mean, 0.08)


def test_the_calendar_knows_summer_time_weekends_and_holidays() -> None:
    days = Almanac(zone="Europe/Berlin", first_day=date(2026, 3, 28), night=0.25, weekend=0.25,
                   holiday=0.3, holidays=[date(2026, 3, 30)])  # fmt: skip
    assert stamp(days.parse("0 10:00")) == "2026-03-28T09:00:00.000Z"
    assert stamp(days.parse("1 10:00")) == "2026-03-29T08:00:00.000Z"
    assert days.at(2) - days.at(1) == 23 * HOUR
    saturday, holiday, tuesday = (days.busy(days.at(day, 10)) for day in (0, 2, 3))
    assert tuesday == 1.0
    assert near(saturday, 0.25, 0.01)
    assert near(holiday, 0.3, 0.01)
    assert near(days.busy(days.at(3, 2)), 0.25, 0.05)


def test_the_errors_of_any_day_come_at_their_rate_by_hour_and_in_bursts() -> None:
    settings = {"probes.coverage": 0.0, "background.drift": 0.0, "transport.duplicates": 0.0,
                "noise.adversaries_per_week": 0.0, "vendor.decoy_days": 0.0}  # fmt: skip
    made = generate("noise", 2, users=50_000, weeks=3, history_days=0, settings=settings)
    calendar = Almanac(zone="Europe/Berlin", first_day=date(2026, 4, 6), night=0.25, weekend=0.25,
                       holiday=0.3, holidays=[])  # fmt: skip
    expected, bins = 0.0, Counter()
    for line in made.lines():
        bins[ms(line.body["occurred_at"]) // (15 * MINUTE)] += 1
    begin, end = ms(made.truth["from"]), ms(made.truth["until"])
    busy = []
    for at in range(begin, end, 15 * MINUTE):
        mean = 50_000 * 0.0015 / 4 * calendar.busy(at + 450_000)
        expected += mean
        busy.append((mean, bins[at // (15 * MINUTE)]))
    assert near(sum(bins.values()), expected, 0.06)
    # each bin is Poisson around a Gamma of shape 4: variance = mean + mean² / 4
    excess = statistics.fmean((seen - mean) ** 2 / (mean + mean**2 / 4) for mean, seen in busy)
    assert 0.8 < excess < 1.25
    weekend = sum(n for b, n in bins.items() if calendar.local(b * 15 * MINUTE)[0].weekday() > 4)
    assert near(weekend / (sum(bins.values()) - weekend), 2 * 0.25 / 5, 0.12)


def test_the_hit_tell_us_as_often_and_as_soon_as_the_table_says() -> None:
    made, lines = outage()
    fault = made.truth["faults"][0]
    reports = [x for x in lines if x.kind == "client_report" and not x.ref.endswith("+")]
    people: dict[str, list[int]] = {}
    for line in sorted(reports, key=lambda x: x.body["occurred_at"]):
        people.setdefault(line.body["reporter"], []).append(ms(line.body["occurred_at"]))
    # half of the hit tell it; few of them come after the end, when nothing fails any more
    assert near(len(people), 6000 * 0.9 * fault["severity"] * 0.5, 0.06)
    first = [(times[0] - ms(fault["onset"])) / 60_000 for times in people.values()]
    soon = [delay for delay in first if delay < 25]
    assert near(statistics.fmean(soon), 4.0 + 1.5, 0.1)  # exponential 4, ramp of 3
    gaps = [(b - a) / 60_000 for times in people.values() for a, b in pairwise(times)]
    assert min(gaps) >= 1.0
    # three of four come again after 1 + Exp(12) minutes
    assert near(statistics.median(gap for gap in gaps if gap < 60), 1 + 12 * math.log(2), 0.15)


def test_the_transport_is_late_twice_and_skewed_as_often_as_the_table_says() -> None:
    _, lines = outage()
    runs = [x for x in lines if x.kind == "probe_result" and not x.ref.endswith("+")]
    lags = [x.at - ms(x.body["occurred_at"]) - x.body["latency_ms"] for x in runs]
    assert near(statistics.median(lags) / 1000, 6 * math.log(2), 0.08)
    assert near(sum(lag > 60_000 for lag in lags) / len(lags), 0.02 * math.exp(-0.09), 0.15)
    twice = sum(x.ref.endswith("+") for x in lines)
    assert near(twice / (len(lines) - twice), 0.01, 0.12)
    skewed = generate("no_probes", 4, users=6000, history_days=0)
    off = [
        (line.body["reporter"], (line.at - ms(line.body["occurred_at"])) / 60_000)
        for line in skewed.lines()
        if line.kind == "client_report"
    ]
    hour = {who for who, minutes in off if abs(abs(minutes) - 60) < 5}
    assert 0.003 < len(hour) / len({who for who, _ in off}) < 0.02


def test_probes_run_on_time_and_fail_by_chance_and_by_fault() -> None:
    made, lines = outage()
    runs = [x for x in lines if x.kind == "probe_result" and not x.ref.endswith("+")]
    minutes = (made.end - made.begin) / MINUTE
    assert near(len(runs), minutes * 16, 0.01)
    false = sum(x.label == "probe_false" for x in runs)
    assert near(false / len(runs), 0.002, 0.25)
    fault = made.truth["faults"][0]
    start, end = ms(fault["onset"]), ms(fault["end"])
    inside = [
        x.body["outcome"] == "failed"
        for x in runs
        if x.body["service"] == "exchange-online" and start <= ms(x.body["occurred_at"]) < end
    ]
    assert len(inside) > 400
    assert near(statistics.fmean(inside), 0.95 * fault["severity"], 0.08)


def test_faults_last_spread_and_are_regional_as_the_table_says() -> None:
    found = [f for f in faults() if not f["id"].startswith("spray")]
    assert 24 * 12 * 3 * 0.9 < len(found) < 24 * 12 * 3 * 1.4  # overlaps and recurrences on top
    lasted = [(ms(f["spans"][0][1]) - ms(f["spans"][0][0])) / MINUTE for f in found]
    assert near(statistics.median(lasted), 74, 0.12)
    assert near(statistics.pstdev(math.log(x) for x in lasted if 6 < x < 1400), 1.1, 0.15)
    vendor = [f for f in found if f["origin"] == "vendor"]
    single = sum(len(f["services"]) == 1 for f in vendor)
    assert near(single / len(vendor), 0.75, 0.06)
    assert near(sum(f["kind"] == "regional" for f in vendor) / single, 0.25, 0.2)
    assert near(sum(len(f["spans"]) > 1 for f in found) / len(found), 0.044, 0.5)


def test_no_two_faults_share_a_place_at_the_same_time() -> None:
    truth = generate("random", 3, users=60, weeks=40, history_days=0).truth
    vendor = [f for f in truth["faults"] if f["origin"] == "vendor"]
    for i, one in enumerate(vendor):
        for other in vendor[i + 1 :]:
            if set(one["services"]) & set(other["services"]):
                apart = max(
                    ms(other["onset"]) - ms(one["end"]), ms(one["onset"]) - ms(other["end"])
                )
                assert apart > 100 * MINUTE


def test_the_vendor_posts_after_its_lag_or_never() -> None:
    lags: dict[str, list[float]] = {"critical": [], "major": [], "minor": []}
    silent: Counter[str] = Counter()
    early = resolved = umbrella = 0
    for fault in faults():
        if fault["origin"] != "vendor" or fault["class"] == "slow":
            continue
        if not fault["posted"]:
            silent[fault["class"]] += 1
            continue
        first = fault["posted"][0]
        lags[fault["class"]].append((ms(first["published_at"]) - ms(fault["onset"])) / MINUTE)
        umbrella += first["service"] == "microsoft-365-suite"
        if first["published_at"] < fault["end"]:
            resolved += 1
            early += first["resolved_at"] < fault["end"]
        assert first["published_at"] < first["first_read_at"]
    for word, median in (("critical", 23), ("major", 28), ("minor", 48)):
        assert near(statistics.median(lags[word]), median, 0.3), word
    assert silent["critical"] == 0
    assert near(silent["major"] / (silent["major"] + len(lags["major"])), 0.1, 0.6)
    assert near(silent["minor"] / (silent["minor"] + len(lags["minor"])), 0.35, 0.4)
    assert near(early / resolved, 0.09, 0.4)
    assert near(umbrella / sum(len(x) for x in lags.values()), 0.15, 0.35)


@pytest.mark.parametrize(("users", "reporters"), [(60, 4), (500, 30)])
def test_people_tell_less_than_programs(users: int, reporters: int) -> None:
    settings = {"reporting.mode": "human"}
    made = generate("no_probes", 1, users=users, history_days=0, settings=settings)
    people = {x.body["reporter"] for x in made.lines() if x.label == "f1" and x.kind != "advisory"}
    assert len(people) < reporters
