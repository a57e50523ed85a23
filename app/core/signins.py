"""Sign-ins: whether failed sign-ins of this time are the outage or not, and why, for the SOC.

It judges what the incident knows: symptoms, origin, probes and samples of reports. Sextant reads no
sign-in log, so no verdict ever says that there is no attack.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.core.incident import Incident
from app.core.types import Origin, Status, Symptom

SIGN_IN = frozenset({Symptom.AUTH_LOOP, Symptom.AUTH_REJECTED})
# Codes of Entra that speak of what somebody typed or refused, never of a service that is down
# (learn.microsoft.com/entra/identity-platform/reference-error-codes).
CREDENTIAL_CODES = frozenset(
    {"50034", "50053", "50055", "50056", "50057", "50126", "500121", "50144"}
)


class SignIns(StrEnum):
    """What failed sign-ins of this time are."""

    NONE = "none"  # the incident explains no failed sign-ins
    OUTAGE = "outage"
    PARTLY = "partly"  # those of some networks are the fault of these networks
    NOT_THE_OUTAGE = "not_the_outage"  # this tenant's own set-up, or an attack on it
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInVerdict:
    """The verdict; ``reasons`` are words with figures, ``codes`` those that an outage never makes.

    A reason's word picks the sentence of the language, its mapping fills it in.
    """

    word: SignIns
    reasons: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    codes: tuple[str, ...] = ()


def judge_signins(incident: Incident, evidence: Mapping[str, Any]) -> SignInVerdict:
    """Say whether failed sign-ins are the outage, from an incident and its evidence document."""
    codes = _credential_codes(evidence)
    asked = tuple(s.value for s in incident.symptoms if s in SIGN_IN)
    if incident.origin is Origin.IDENTITY:
        reasons = tuple(_grounds(incident, "origin_identity"))
        return SignInVerdict(
            word=SignIns.NOT_THE_OUTAGE, reasons=(*reasons, ("identity", {})), codes=codes
        )
    if not asked or incident.status is Status.DISMISSED:
        return SignInVerdict(word=SignIns.NONE, reasons=(("no_symptom", {}),), codes=codes)
    reasons = tuple(_for_outage(incident))
    if incident.origin is Origin.LOCAL:
        networks = {"networks": incident.networks}
        return SignInVerdict(
            word=SignIns.PARTLY, reasons=(("networks", networks), *reasons), codes=codes
        )
    if incident.origin is Origin.UNKNOWN or not reasons or incident.status is Status.SUSPECTED:
        return SignInVerdict(
            word=SignIns.UNCLEAR, reasons=(*reasons, ("not_sure", {})), codes=codes
        )
    return SignInVerdict(word=SignIns.OUTAGE, reasons=reasons, codes=codes)


def _for_outage(incident: Incident) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What makes the service itself the reason, rather than what people type."""
    impact = incident.impact
    yield from _grounds(incident, "tier_desync")
    if impact.locations_failing:
        figures = {"failing": impact.locations_failing, "total": impact.locations_total}
        yield "probes", figures
    open_ones = [a.id for a in incident.advisories if not a.withdrawn]
    if open_ones:
        yield "vendor", {"advisories": tuple(open_ones)}
    others = tuple(s.value for s in incident.symptoms if s not in SIGN_IN and s.value != "other")
    if others:
        yield "together", {"symptoms": others}


def _grounds(incident: Incident, word: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for line in incident.explanation:
        if line.reason == word:
            yield "engine", {"text": line.text}
            return


def _credential_codes(evidence: Mapping[str, Any]) -> tuple[str, ...]:
    found = {
        str(sample.get("code") or "").upper().removeprefix("AADSTS")
        for cell in evidence.get("cells") or ()
        for sample in cell.get("exemplars") or ()
    }
    return tuple(sorted(found & CREDENTIAL_CODES))
