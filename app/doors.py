"""Doors: the part of bootstrap that wires intake; a new format is one file and one line here."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.core.batch import REPORT_FIELDS, RESULT_FIELDS
from app.core.errors import SettingsError
from app.core.foreign import Foreign, ForeignFormat, Hints
from app.core.policy import Policy
from app.core.types import TenantId
from app.flow.foreign import LINES, ForeignIntake
from app.flow.ingest import Intake, Windows
from app.flow.issuer_settings import IssuerSettings
from app.flow.pseudonyms import Pseudonyms
from app.flow.standing import Standing
from app.flow.vouch import PublicQuota
from app.kit.clock import Clock, SystemClock
from app.kit.tokens import Provider
from app.kit.wake import Bell
from app.settings import Settings
from app.sources.client_report import ClientReportReader
from app.sources.graph import translate
from app.sources.intake.alertmanager import Alertmanager
from app.sources.intake.browser import Browser
from app.sources.intake.ecs import Ecs
from app.sources.intake.gatus import Gatus
from app.sources.intake.graph_issues import GraphIssues
from app.sources.intake.icinga import Icinga
from app.sources.intake.mapper import Mapper
from app.sources.intake.otlp import OtlpLogs, OtlpMetrics, partial_success
from app.sources.intake.pingdom import Pingdom
from app.sources.intake.reporting import Reporting
from app.sources.intake.sentry import Sentry
from app.sources.intake.uptime_kuma import UptimeKuma
from app.sources.probe_result import ProbeResultReader
from app.sources.symptom_table import SymptomTable, load_symptom_table
from app.store.engine import Database


@dataclass(frozen=True, slots=True)
class Doors:
    """Everything that takes something in."""

    intake: Intake
    reports: ClientReportReader
    results: ProbeResultReader
    foreign: ForeignIntake
    mappers: dict[str, ForeignFormat]
    exports: dict[str, ForeignFormat]
    quota: PublicQuota
    partial_success: Callable[[str, int, str, str], bytes]
    standing: Standing
    people: Pseudonyms
    symptoms: SymptomTable
    policy: Policy


def foreign_formats() -> dict[str, ForeignFormat]:
    """What ``/v1/intake/{format}`` reads, by name."""
    known: tuple[ForeignFormat, ...] = (
        Alertmanager(),
        UptimeKuma(),
        Gatus(),
        Pingdom(),
        Icinga(),
        Sentry(),
        Ecs(),
        Reporting(),
        Browser(),
        GraphIssues(lambda issue, now: translate(issue, names={}, now=now)),
    )
    return {kind.name: kind for kind in known}


def open_doors(
    settings: Settings,
    db: Database,
    clock: Clock,
    *,
    identity: bytes,
    bell: Bell,
    maintenance: Windows,
) -> Doors:
    """Wire the doors; ``identity`` is the secret under which people are hashed."""
    policy = settings.policy
    table = load_symptom_table()
    classify = table.classify
    outside = settings.privacy.identity_key
    people = Pseudonyms(db, clock, outside=outside.get_secret_value() if outside else None)
    people.load(clock.now())
    reports = ClientReportReader(classify, key=identity, policy=policy, people=people.of)
    results = ProbeResultReader(classify, key=identity, policy=policy)
    intake = Intake(
        db, bell=bell, window=timedelta(hours=policy.dedup_hours), maintenance=maintenance
    )
    standing = Standing(db, clock, intake)
    return Doors(
        intake=intake,
        reports=reports,
        results=results,
        foreign=ForeignIntake(
            db,
            clock,
            intake,
            formats=foreign_formats(),
            reports=reports,
            results=results,
            standing=standing,
        ),
        exports={"logs": OtlpLogs(), "metrics": OtlpMetrics()},
        quota=PublicQuota(
            requests_per_second=settings.limits.public_requests_per_second,
            reports_per_hour=settings.limits.public_reports_per_hour,
        ),
        mappers={entry.name: Mapper(entry) for entry in settings.mappers},
        partial_success=partial_success,
        standing=standing,
        people=people,
        symptoms=table,
        policy=policy,
    )


def provider_of(issuer: IssuerSettings) -> Provider:
    """The OpenID provider behind an issuer of the settings."""
    from app.clients import oidc  # noqa: PLC0415 - no start needs it that takes no tokens

    return oidc.Provider(
        issuer=issuer.issuer, metadata_url=issuer.metadata_url, ca_file=issuer.ca_file
    )


@dataclass(frozen=True, slots=True)
class Trial:
    """What a mapper made of a body, line by line, and whether every record was taken."""

    lines: list[str]
    well: bool


def try_mapper(settings: Settings, name: str, body: bytes) -> Trial:
    """Read a saved body by a mapper, and put what it makes through our own door; stores nothing.

    Raises:
        SettingsError: there is no mapper of that name.
        UnreadablePayload: the body is not of the kind that it names.
    """
    known = {entry.name: entry for entry in settings.mappers}
    if name not in known:
        names = ", ".join(sorted(known)) or "none"
        raise SettingsError(f"There is no mapper {name}; known: {names}.")
    now = SystemClock().now()
    found = Mapper(known[name]).read(body, hints=Hints(), now=now)
    lines = [*_tried(found, settings, now), f"{found.passed_over} passed over."]
    lines += [f"record {one.index}: REFUSED {one.pointer} {one.detail}" for one in found.refused]
    return Trial(lines, not any("REFUSED" in line for line in lines))


def _tried(found: Foreign, settings: Settings, now: datetime) -> list[str]:
    classify = load_symptom_table().classify
    doors = (
        (ProbeResultReader(classify, key=b"-", policy=settings.policy), found.results),
        (ClientReportReader(classify, key=b"-", policy=settings.policy), found.reports),
    )
    lines = []
    for reader, documents in doors:
        for index, document in documents:
            lines.append(f"record {index} becomes {json.dumps(document, ensure_ascii=False)}")
            parsed = reader.parse(TenantId("-"), json.dumps(document).encode(), LINES, now=now)
            lines += [f"  REFUSED {one.pointer} {one.detail}" for one in parsed.rejected]
            names = RESULT_FIELDS if documents is found.results else REPORT_FIELDS
            lines += [f"  is stored as {_shown(names, row)}" for row in parsed.batch.rows]
    return lines


def _shown(names: tuple[str, ...], row: tuple[Any, ...]) -> str:
    """The values that an operator wants to see: what it is of, and what it was read as."""
    values = dict(zip(names, row, strict=False))
    wanted = ("service", "probe", "location", "client", "outcome", "symptom", "code", "weight")
    return ", ".join(f"{name} {values[name]}" for name in wanted if values.get(name) is not None)
