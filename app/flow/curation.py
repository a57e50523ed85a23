"""Curation: which codes of reports no table knows, so that none is dropped unseen."""

from collections.abc import Callable, Iterable

from app.core.signal import ClientReport, Signal
from app.core.types import Client
from app.store.unmapped import Unmapped

Knows = Callable[[str, Client | None], bool]


def unmapped(signals: Iterable[Signal], knows: Knows) -> list[Unmapped]:
    """Count the codes of reports that mean nothing to the table, by code and client."""
    met: dict[tuple[str, str], list[ClientReport]] = {}
    for signal in signals:
        if isinstance(signal, ClientReport) and signal.code:
            # An old answer is not asked again: the table remembers what it said of a code.
            if knows(signal.code, signal.client):
                continue
            met.setdefault((signal.code, signal.client), []).append(signal)
    return [
        Unmapped(
            code=code,
            client=client,
            service=reports[-1].service,
            count=sum(report.count for report in reports),
            first_at=min(report.received_at for report in reports),
            last_at=max(report.received_at for report in reports),
            sample=next((report.message for report in reports if report.message), None),
        )
        for (code, client), reports in met.items()
    ]
