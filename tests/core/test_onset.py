"""The onset is where the evidence begins, however the history arrived."""

from dataclasses import replace

from app.core.state import instant_of
from app.core.types import Disagreement
from tests.core.play import PROFILE, World, at, probes, reports

EVERYWHERE = dict.fromkeys(("berlin", "london", "new-york"), ("06:55", "08:00"))


def test_history_and_outage_in_one_batch_give_the_right_onset() -> None:
    world = World()
    together = [*probes(at("06:00"), at("07:00"), failing=EVERYWHERE),
                *reports(at("06:55"), at("07:00"), per_minute=10, seed=4)]  # fmt: skip
    world.fold(at("07:00"), together)
    (incident,) = world.alive
    assert at("06:54") <= incident.onset_at <= at("06:56")
    assert "since 06:55" in incident.summary
    assert instant_of(int(incident.onset_at.timestamp()) // 60) == incident.onset_at


def test_who_reads_no_vendor_source_never_calls_the_vendor_silent() -> None:
    world = World(profile=replace(PROFILE, reads_vendor=False))
    world.play(probes(at("06:30"), at("07:10"), failing=EVERYWHERE), until=at("07:05"))
    (incident,) = world.alive
    assert incident.disagreement is Disagreement.NONE
    assert "is not read" in incident.summary


def test_probes_that_join_later_add_their_weight_to_the_explanation() -> None:
    world = World()
    world.play(
        [
            *probes(at("06:30"), at("07:20"), failing=EVERYWHERE),
            *reports(at("06:50"), at("07:20"), per_minute=3, seed=6),
        ],
        until=at("07:10"),
    )
    (incident,) = world.alive
    (probed,) = [r for r in incident.explanation if r.reason == "probes_failing"]
    assert probed.weight > 10
