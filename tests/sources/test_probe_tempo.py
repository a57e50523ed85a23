"""A check whose answers take far longer than usual is slow, though it does not fail."""

from datetime import timedelta
from pathlib import Path

from app.core.types import Outcome, Symptom
from app.sources.probe import Probe, ProbeSettings, Toolbox
from tests.builders import NOW
from tests.sources.door import open_door

OK, DEGRADED = Outcome.OK, Outcome.DEGRADED


async def test_answers_that_take_far_longer_than_usual_for_minutes_are_slow(
    tmp_path: Path,
) -> None:
    tools = Toolbox()
    async with open_door(tmp_path) as door:
        check = ProbeSettings(
            name="front", check="http", location="berlin", target=door.url("/late")
        )
        probe = Probe(check, tenant="contoso", tools=tools)
        met = []
        for minute in range(4):
            usual = 1.0 if minute < 3 else None
            probe.remember(reached=True, learned=None, usual_ms=usual)
            met.append(await probe.run(now=NOW + timedelta(minutes=minute), location_sound=True))
    tools.close()
    assert [(r.outcome, r.symptom) for r in met] == [
        (OK, None), (OK, None), (DEGRADED, Symptom.SLOW), (OK, None),
    ]  # fmt: skip
    assert "for minutes now, where 1 ms are usual" in (met[2].error or "")
    assert (met[2].diagnostics or {})["usual_ms"] == "1"
