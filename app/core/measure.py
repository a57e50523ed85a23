"""Measures: how many are affected, how badly, and what each source adds, from a disturbance."""

from app.core.disturbance import Disturbance
from app.core.incident import EvidenceSummary, Impact
from app.core.policy import Policy
from app.core.state import TenantProfile, instant_of
from app.core.types import ImpactLevel, Origin, Severity, SourceKind, Symptom

MANY_REPORTERS = 10  # reporters from which "many" are affected, whatever the tenant's size
MANY_SHARE = 0.002  # share of users that report when many are affected
ALL_SHARE = 0.02  # share of users that report when all are affected


def impact_of(disturbance: Disturbance, profile: TenantProfile, policy: Policy) -> Impact:
    """How many are affected; locations as they fail now, reporters over the whole time."""
    users = profile.users or policy.default_users
    reporters, worst = disturbance.size.reporters, disturbance.most_failing
    total = len(disturbance.locations)
    level = ImpactLevel.NONE
    if reporters == 1 and worst == 0:
        level = ImpactLevel.SINGLE
    elif reporters or worst:
        level = ImpactLevel.SOME
    if reporters >= max(MANY_REPORTERS, MANY_SHARE * users) or (worst > 1 and worst == total):
        level = ImpactLevel.MANY
    if reporters >= ALL_SHARE * users and worst == total and total > 1:
        level = ImpactLevel.ALL
    return Impact(
        level=level,
        reporters=reporters,
        reports=disturbance.size.reports,
        locations_failing=len(disturbance.failing_now),
        locations_total=total,
    )


def severity_of(disturbance: Disturbance, impact: Impact, *, confirmed: bool) -> Severity:
    """How bad it is for one who is affected."""
    worst, total = disturbance.most_failing, len(disturbance.locations)
    if not confirmed:
        return Severity.MINOR
    if disturbance.origin is Origin.LOCAL:
        return Severity.MINOR
    if {name for name, _ in disturbance.size.symptoms} == {Symptom.SLOW}:
        return Severity.MINOR  # it works, and takes its time
    wide = worst > 1 and worst * 2 > total
    if impact.level is ImpactLevel.ALL or (impact.level is ImpactLevel.MANY and wide):
        return Severity.CRITICAL
    return Severity.MAJOR if wide or impact.level is ImpactLevel.MANY else Severity.MINOR


def own_evidence(disturbance: Disturbance) -> dict[str, EvidenceSummary]:
    """What reports and probes add, by source."""
    start, end = disturbance.onset, disturbance.last_bad
    result = {}
    minutes = [m for cell in disturbance.cells for m in cell.counts if start <= m <= end]
    if minutes:
        result[SourceKind.CLIENT_REPORT.value] = EvidenceSummary(
            count=disturbance.size.reports,
            first_at=instant_of(min(minutes)),
            last_at=instant_of(max(minutes)),
            weight=round(sum(f.report_nats for f in disturbance.findings), 1),
        )
    results = [
        p
        for track in disturbance.tracks
        for m, p in track.minutes.items()
        if start <= m <= end and p.failed
    ]
    if results:
        result[SourceKind.PROBE.value] = EvidenceSummary(
            count=sum(p.failed for p in results),
            first_at=min(p.first_at for p in results if p.first_at),
            last_at=max(p.last_at for p in results if p.last_at),
            weight=round(sum(f.probe_peak for f in disturbance.findings), 1),
        )
    return result
