"""Recordings: wires files and stored intake to the engine, for the commands that run it offline."""

import argparse
import asyncio
import json
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from app.bootstrap import open_database
from app.core.catalogue import SERVICES
from app.core.errors import SettingsError
from app.core.policy import Policy
from app.core.types import TenantId
from app.flow import replay as replay_module
from app.flow.differ import sentences
from app.flow.offline import fold_all
from app.formats.native_v1 import Renderer, incident_document
from app.main import read_settings
from app.settings import Settings
from app.settings.model import ServerSettings
from app.sources.client_report import ClientReportReader
from app.sources.graph import translate
from app.sources.probe_result import ProbeResultReader
from app.sources.recorded import Recording
from app.sources.symptom_table import load_symptom_table
from app.watch import profiles_of


def fold_file(signals: Path, out: Path, *, policy: Path | None) -> int:
    """Fold a file of recorded signals and write incidents, events and assignments; gives how many.

    Raises:
        SettingsError: the policy cannot be read.
        InvalidInput: a line of the file cannot be read.
    """
    if not signals.is_file():
        raise SettingsError(f"There is no file {signals}.")
    chosen = load_policy(policy)
    recording = make_recording(chosen)
    with signals.open("rb") as file:
        lines = [(line.tenant, line) for line in recording.read(file)]
    told = fold_all(lines, recording.profiles, chosen)
    out.mkdir(parents=True, exist_ok=True)
    url = ServerSettings().public_url
    render = Renderer(public_url=url)
    made = [incident_document(i, public_url=url) for t in told.values() for i in t.incidents]
    (out / "incidents.json").write_bytes(msgspec.json.encode({"items": made}))
    events = [render(event) + b"\n" for t in told.values() for event in t.events]
    (out / "events.ndjson").write_bytes(b"".join(events))
    held = {ref: incident for t in told.values() for ref, incident in t.assignments}
    rows = [msgspec.json.encode({"ref": x.ref, "incident": held[x.ref]}) for _, x in lines]
    (out / "assignments.ndjson").write_bytes(b"".join(row + b"\n" for row in rows))
    return len(made)


def make_recording(policy: Policy) -> Recording:
    """What reads recorded signals through the readers of the doors."""
    classify = load_symptom_table().classify
    return Recording(
        reports=ClientReportReader(classify, key=b"offline", policy=policy),
        results=ProbeResultReader(classify, key=b"offline", policy=policy),
        advisory=lambda issue, now: translate(issue, names={}, now=now),
        default_users=policy.default_users,
        service_names={service.slug: service.name for service in SERVICES},
    )


def load_policy(file: Path | None) -> Policy:
    """Read a policy file: the keys of ``[policy]``, on their own or in that table.

    Raises:
        SettingsError: it cannot be read, or a key is unknown.
    """
    if file is None:
        return Policy()
    try:
        values: Any = policy_changes(file)
        return Settings(policy=values).policy
    except (ValueError, TypeError) as error:
        raise SettingsError(f"The policy {file} cannot be used: {error}") from error


def policy_changes(file: Path) -> dict[str, Any]:
    """Read the thresholds that a policy file names, TOML or JSON.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        text = file.read_text("utf-8")
        document = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
        found: dict[str, Any] = document.get("policy", document)
    except (OSError, ValueError, AttributeError) as error:
        raise SettingsError(f"The policy {file} cannot be used: {error}") from error
    return found


def replay(config: str | None, argv: Sequence[str]) -> list[str]:
    """``sextant replay``: fold the stored intake of a window again; gives the lines to print.

    Raises:
        SettingsError: the settings, the policy or the tenant cannot be used.
        NotFound: nothing of the window can be replayed.
        InvalidInput: a threshold is not known.
    """
    parser = argparse.ArgumentParser(prog="sextant replay", description=replay_module.__doc__)
    parser.add_argument("--since", required=True, type=_instant, metavar="TIME")
    parser.add_argument("--until", required=True, type=_instant, metavar="TIME")
    parser.add_argument("--policy", metavar="FILE", help="TOML or JSON: thresholds that differ")
    parser.add_argument("--tenant", help="needed only where there are several")
    parser.add_argument("--json", action="store_true", help="print the whole difference")
    asked = parser.parse_args(argv)
    settings = read_settings(config)
    known = [tenant.id for tenant in settings.tenants]
    name = asked.tenant or (known[0] if len(known) == 1 else None)
    if name not in known:
        raise SettingsError(f"Name one with --tenant: {', '.join(known) or 'none is configured'}.")
    policy = settings.policy
    changes = policy_changes(Path(asked.policy)) if asked.policy else {}
    db = open_database(settings, may_migrate=False)
    try:
        told = asyncio.run(
            replay_module.fold_again(
                db,
                profiles_of(settings)[TenantId(name)],
                since=asked.since,
                until=asked.until,
                policy=replay_module.policy_with(policy, changes),
                render=Renderer(public_url=settings.server.public_url.rstrip("/")),
            )
        )
    finally:
        db.close()
    document = told.document()
    return [json.dumps(document, indent=1)] if asked.json else sentences(document)


def _instant(text: str) -> datetime:
    """Read an instant of the command line; one without a zone is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no RFC 3339 time") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
