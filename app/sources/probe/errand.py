"""One try of a check: everything that its question needs, so that a question is one function."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from ssl import SSLContext
from typing import TypeAlias

from app.clients.dial import Dialler, Trace
from app.clients.mail import MailDoors
from app.sources.probe.settings import ProbeAccount, ProbeSettings
from app.sources.probe.verdict import Memory, Seen

AGENT = "Sextant-Probe/1 (synthetic availability check)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What is asked and with what; ``request_id`` is a GUID that the vendor can look up.

    ``pace`` is story seconds per real second, for questions that wait for something to arrive.
    """

    settings: ProbeSettings
    dialler: Dialler
    doors: MailDoors
    tls: SSLContext
    request_id: str
    now: datetime
    account: ProbeAccount | None = None
    memory: Memory = field(default_factory=Memory)
    trace: Trace = field(default_factory=Trace)
    pace: float = 1.0


Question: TypeAlias = Callable[[Errand], Awaitable[Seen]]
