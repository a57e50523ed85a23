"""The doctor: what an operator must know before the outage, as sentences with what to do."""

from app.doctor.examine import Instruments, examine
from app.doctor.finding import Finding, Grade

__all__ = ["Finding", "Grade", "Instruments", "examine"]
