"""Probes: the checks that Sextant runs itself; import from here."""

from app.sources.probe.check import Probe, Toolbox, result_id, run_once
from app.sources.probe.settings import (
    SIGNED_IN,
    CheckKind,
    ProbeAccount,
    ProbeSettings,
    intervals_of,
    needs_account,
)

__all__ = [
    "SIGNED_IN", "CheckKind", "Probe", "ProbeAccount", "ProbeSettings", "Toolbox",
    "intervals_of", "needs_account", "result_id", "run_once",
]  # fmt: skip
