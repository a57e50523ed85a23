"""Probes: the checks that Sextant runs itself; import from here."""

from app.clients.dial import Dialler
from app.sources.probe.check import Probe, result_id, run_once
from app.sources.probe.settings import CheckKind, ProbeSettings

__all__ = ["CheckKind", "Dialler", "Probe", "ProbeSettings", "result_id", "run_once"]
