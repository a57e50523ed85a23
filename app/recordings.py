"""Recordings: wires the readers of files to the engine, for the commands that run it offline."""

import tomllib
from pathlib import Path

import msgspec

from app.core.catalogue import SERVICES
from app.core.errors import SettingsError
from app.core.policy import Policy
from app.flow.offline import fold_all
from app.formats.native_v1 import Renderer, incident_document
from app.settings import Settings
from app.settings.model import ServerSettings
from app.sources.client_report import ClientReportReader
from app.sources.graph import translate
from app.sources.probe_result import ProbeResultReader
from app.sources.recorded import Recording
from app.sources.symptom_table import load_symptom_table


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
    """Read a policy file: TOML with the keys of ``[policy]``, on their own or in that table.

    Raises:
        SettingsError: it cannot be read, or a key is unknown.
    """
    if file is None:
        return Policy()
    try:
        document = tomllib.loads(file.read_text("utf-8"))
        values = document.get("policy", document)
        return Settings(policy=values).policy
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(f"The policy {file} cannot be used: {error}") from error
