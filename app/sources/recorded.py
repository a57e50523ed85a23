"""Recorded signals: a file of NDJSON lines, each in the wire shape of its door, read in order."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

import msgspec

from app.core.errors import AppError, InvalidInput
from app.core.ids import derived
from app.core.signal import Advisory, ClientReport, Command, ProbeResult, Signal
from app.core.state import TenantProfile
from app.core.types import SignalId, TenantId

Translate = Callable[[Mapping[str, Any]], Advisory]


class Reading(Protocol):
    """What a reader made of a body."""

    @property
    def good(self) -> Any:
        """The good records as signals."""

    @property
    def rejected(self) -> Any:
        """The refused ones."""


class Reader(Protocol):
    """Reads bodies of one kind, as the door of that kind does."""

    def parse(
        self, tenant: TenantId, body: bytes, content_type: str | None, *, now: datetime
    ) -> Reading:
        """Read a body that arrived now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the file: a signal, and by which word the file refers to it."""

    ref: str
    tenant: TenantId
    received_at: datetime
    signal: Signal


class Recording:
    """Reads lines; header lines describe tenants and are kept in ``profiles``."""

    def __init__(
        self,
        *,
        reports: Reader,
        results: Reader,
        advisory: Callable[[Mapping[str, Any], datetime], Advisory],
        default_users: int,
        service_names: Mapping[str, str],
    ) -> None:
        self._reports = reports
        self._results = results
        self._advisory = advisory
        self._users = default_users
        self._names = dict(service_names)
        self._first_seen: dict[tuple[str, str], datetime] = {}
        self.profiles: dict[TenantId, TenantProfile] = {}

    def read(self, lines: Iterator[bytes]) -> Iterator[Line]:
        """Yield the signals in the order of the file.

        Raises:
            InvalidInput: a line cannot be read; the sentence names its number.
        """
        for number, text in enumerate(lines, start=1):
            if not text.strip():
                continue
            try:
                line = self._line(msgspec.json.decode(text))
            except (ValueError, KeyError, TypeError, AppError) as error:
                raise InvalidInput(f"Line {number} cannot be read: {error!s}") from error
            if line is not None:
                yield line

    def _line(self, document: dict[str, Any]) -> Line | None:
        tenant = TenantId(document["tenant"])
        if "kind" not in document:
            self._describe(tenant, document)
            return None
        if tenant not in self.profiles:
            self._describe(tenant, {})
        received = datetime.fromisoformat(document["received_at"])
        body, ref = document["body"], str(document["ref"])
        signal = self._signal(document["kind"], tenant, body, received, ref)
        return Line(ref=ref, tenant=tenant, received_at=received, signal=signal)

    def _describe(self, tenant: TenantId, document: Mapping[str, Any]) -> None:
        places = document.get("locations") or []
        self.profiles[tenant] = TenantProfile(
            id=tenant,
            users=int(document.get("users") or self._users),
            external=frozenset(place["name"] for place in places if place.get("external")),
            service_names=self._names,
            timezone=str(document.get("timezone") or "UTC"),
            holidays=frozenset(document.get("holidays") or ()),
            networks={p["name"]: p["network"] for p in places if p.get("network")},
        )

    def _signal(
        self, kind: str, tenant: TenantId, body: dict[str, Any], received: datetime, ref: str
    ) -> Signal:
        match kind:
            case "client_report":
                return self._pushed(self._reports, tenant, body, received)
            case "probe_result":
                return self._pushed(self._results, tenant, body, received)
            case "advisory":
                advisory = self._advisory(body, received)
                key = (tenant, advisory.vendor_id)
                first = self._first_seen.setdefault(key, received)
                return replace(advisory, first_seen_at=first, received_at=received)
            case "command":
                return Command(
                    id=SignalId(derived(tenant, "command", ref)),
                    name=str(body["command"]),
                    actor_kind="person",
                    actor=str(body.get("actor") or "recorded"),
                    received_at=received,
                    body={k: v for k, v in body.items() if k not in ("command", "incident")},
                    incident=body.get("incident"),
                )
            case _:
                raise ValueError(f"the kind {kind!r} is not known")

    def _pushed(
        self, reader: Reader, tenant: TenantId, body: dict[str, Any], received: datetime
    ) -> ClientReport | ProbeResult:
        parsed = reader.parse(tenant, msgspec.json.encode(body), "application/json", now=received)
        if parsed.rejected:
            fault = parsed.rejected[0]
            raise ValueError(f"{fault.pointer}: {fault.detail}")
        signal: ClientReport | ProbeResult = parsed.good[0]
        return signal
