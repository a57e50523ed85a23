"""Whether failed sign-ins are the outage: every verdict with its grounds."""

from typing import Any

import pytest

from app.core.incident import Impact, LinkedAdvisory, Reason
from app.core.signins import SignIns, judge_signins
from app.core.types import Origin, Status, Symptom
from tests.builders import NOW, an_incident

LOOP = (Symptom.AUTH_LOOP,)
ADVISORY = LinkedAdvisory(
    id="EX1", title="x", classification="incident", status="serviceDegradation",
    condition="degraded", published_at=NOW, started_at=NOW, is_resolved=False,
)  # fmt: skip
DESYNC = Reason(reason="tier_desync", effect="+", weight=0.0, text="apart", source=None, at=NOW)
OWN = Reason(reason="origin_identity", effect="+", weight=0.0, text="ours", source=None, at=NOW)


@pytest.mark.parametrize(
    ("changes", "verdict", "grounds"),
    [
        ({"symptoms": (Symptom.HTTP_5XX,)}, SignIns.NONE, ["no_symptom"]),
        ({"symptoms": LOOP, "status": Status.DISMISSED}, SignIns.NONE, ["no_symptom"]),
        (
            {"symptoms": LOOP, "impact": Impact(locations_failing=2, locations_total=3)},
            SignIns.OUTAGE, ["probes"],
        ),
        ({"symptoms": LOOP, "advisories": (ADVISORY,)}, SignIns.OUTAGE, ["vendor"]),
        ({"symptoms": LOOP, "explanation": (DESYNC,)}, SignIns.OUTAGE, ["engine"]),
        ({"symptoms": (*LOOP, Symptom.SLOW)}, SignIns.OUTAGE, ["together"]),
        ({"symptoms": LOOP}, SignIns.UNCLEAR, ["not_sure"]),
        ({"symptoms": (*LOOP, Symptom.OTHER)}, SignIns.UNCLEAR, ["not_sure"]),
        (
            {"symptoms": LOOP, "advisories": (ADVISORY,), "origin": Origin.UNKNOWN},
            SignIns.UNCLEAR, ["vendor", "not_sure"],
        ),
        (
            {"symptoms": LOOP, "advisories": (ADVISORY,), "status": Status.SUSPECTED},
            SignIns.UNCLEAR, ["vendor", "not_sure"],
        ),
        (
            {"symptoms": LOOP, "origin": Origin.LOCAL, "networks": ("berlin",)},
            SignIns.PARTLY, ["networks"],
        ),
        (
            {"symptoms": LOOP, "origin": Origin.IDENTITY, "explanation": (DESYNC, OWN)},
            SignIns.NOT_THE_OUTAGE, ["engine", "identity"],
        ),
    ],
)  # fmt: skip
def test_the_verdict_follows_from_what_the_incident_knows(
    changes: dict[str, Any], verdict: SignIns, grounds: list[str]
) -> None:
    found = judge_signins(an_incident(**changes), {})
    assert (found.word, [word for word, _ in found.reasons]) == (verdict, grounds)


def test_codes_that_no_outage_makes_are_named() -> None:
    samples = [{"code": "AADSTS50126"}, {"code": "503"}, {"code": None}, {"code": "500121"}]
    found = judge_signins(an_incident(symptoms=LOOP), {"cells": [{"exemplars": samples}]})
    assert found.codes == ("500121", "50126")
