"""A finding: one sentence about one area, how bad it is, and what to do."""

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How bad a finding is; only problems make the examination fail."""

    WELL = "well"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding. ``tenant`` is empty where it is about the whole; ``fix`` where nothing is due.

    ``area`` is a stable word: settings, database, disk, clock, graph, probes, sources, receivers,
    channels, mirrors, messages, keys, public_url, egress or retention.
    """

    area: str
    grade: Grade
    text: str
    fix: str = ""
    tenant: str = ""


def well(area: str, text: str, *, tenant: str = "") -> Finding:
    """All is as it should be."""
    return Finding(area=area, grade=Grade.WELL, text=text, tenant=tenant)


def note(area: str, text: str, *, fix: str = "", tenant: str = "") -> Finding:
    """Worth knowing."""
    return Finding(area=area, grade=Grade.NOTE, text=text, fix=fix, tenant=tenant)


def warning(area: str, text: str, fix: str, *, tenant: str = "") -> Finding:
    """It works, and will let you down in an outage."""
    return Finding(area=area, grade=Grade.WARNING, text=text, fix=fix, tenant=tenant)


def problem(area: str, text: str, fix: str, *, tenant: str = "") -> Finding:
    """It does not work."""
    return Finding(area=area, grade=Grade.PROBLEM, text=text, fix=fix, tenant=tenant)
