"""Vouching: how far a public key is trusted, and how much may come in by it.

A public key stands in every page that uses it, so everybody has it. What comes in by it is counted
and shown, but all of it speaks with fewer voices than the engine asks of a group: no public key can
open an incident by itself, and without a network of their own the public keys together make one
group, which can never confirm one.

A trusted key that may do no more than bring evidence is bounded as well, unless it was made to be a
collector's: by the reporters that it may speak for, and the locations whose probe results it may
bring. What a stolen one invents beyond that is not heard.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from ipaddress import ip_address, ip_network
from typing import Any

from app.core.arrival import ACTOR_BYTES
from app.core.batch import KEY_BYTES, RESULT_FIELDS, Batch, ReportBatch, ResultBatch, keys_in
from app.core.errors import RateLimited
from app.core.policy import Policy
from app.flow.rates import Buckets
from app.store.keys import ApiKey

IPV4_PREFIX, IPV6_PREFIX = 24, 48  # bits of an address that make one network
HOUR = 3600  # seconds
MOST_KEYS = 10_000  # keys whose hour is remembered
BARRED = "The key may not bring results of this location."
NO_ADVISORIES = "The key may not speak for the vendor; one made with --voices 0 may."
OPENING = frozenset({"admin", "incidents:write"})  # scopes that open incidents by command
_LOCATION = RESULT_FIELDS.index("location")


def network_of(address: str) -> str:
    """The network of an address: /24 or /48, for one machine has many addresses in it."""
    try:
        found = ip_address(address)
    except ValueError:
        return "unknown"
    mapped = getattr(found, "ipv4_mapped", None)
    if mapped is not None:
        found = mapped
    prefix = IPV4_PREFIX if found.version == 4 else IPV6_PREFIX  # noqa: PLR2004 - of IP
    return str(ip_network(f"{found}/{prefix}", strict=False))


def voucher(
    key_id: str, address: str, *, secret: bytes, policy: Policy
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Make what rewrites a report that came by a public key.

    Who it says it is counts for nothing: it speaks with the voice of the network that it came from,
    and a key has one voice less than makes a group of reporters. Its id is its key's own, so that
    nobody can take the id of another's report beforehand.
    """
    voices = max(1, policy.quorum_actors - 1)
    mark = hmac.digest(secret, f"{key_id} {network_of(address)}".encode(), "sha256")
    voice = f"public {key_id} {int.from_bytes(mark[:4], 'big') % voices}"

    def rewrite(document: dict[str, Any]) -> dict[str, Any]:
        kept = {
            name: value
            for name, value in document.items()
            if name not in {"reporter", "device", "network", "count"}
        }
        identity = kept.get("id")
        if isinstance(identity, str):
            kept["id"] = f"{key_id} {identity}"[:200]
        return {**kept, "reporter": voice}

    return rewrite


class PublicQuota:
    """How much may come in by public keys: requests per address, reports per key and hour.

    Each process counts for itself. 0 is no limit.
    """

    def __init__(self, *, requests_per_second: float, reports_per_hour: int) -> None:
        self._addresses = Buckets(requests_per_second)
        self._most = reports_per_hour
        self._hours: dict[str, tuple[int, int]] = {}

    def admit(self, address: str) -> None:
        """Count one request of a network.

        Raises:
            RateLimited: it sent more than its share.
        """
        self._addresses.take(network_of(address))

    def count(self, key_id: str, reports: int, now: datetime) -> None:
        """Count reports of a key.

        Raises:
            RateLimited: the key has brought what it may in this hour; nothing is to be stored.
        """
        hour, past = divmod(int(now.timestamp()), HOUR)
        known, number = self._hours.get(key_id, (hour, 0))
        number = number if known == hour else 0
        if self._most and number + reports > self._most:
            raise RateLimited(
                "This public key has brought what it may in an hour.",
                retry_after_seconds=HOUR - past,
            )
        if len(self._hours) >= MOST_KEYS:
            self._hours.clear()
        self._hours[key_id] = (hour, number + reports)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What one key may say at most; ``voices`` 0 and ``locations`` empty are no bound.

    With voices that are counted it brings no advisories: one alone would open an incident.
    """

    key_id: str
    voices: int
    locations: frozenset[str]

    def apply(self, batch: Batch) -> tuple[Batch, list[int]]:
        """What of a batch the key may say, and which of its rows it may not.

        Reports stay, with as many voices as the key has, and with ids of the key's own, so that it
        cannot take those of others. They name no network: sites that agree are evidence too, and
        whoever holds the key can name as many as they like.
        """
        if isinstance(batch, ReportBatch):
            return (self._voiced(batch) if self.voices else batch), []
        if not self.locations:
            return batch, []
        barred = [n for n, row in enumerate(batch.rows) if row[_LOCATION] not in self.locations]
        if not barred:
            return batch, []
        gone = set(barred)
        keys = keys_in(batch.ids)
        kept = [n for n in range(len(batch)) if n not in gone]
        ids, rows = b"".join(keys[n] for n in kept), [batch.rows[n] for n in kept]
        return ResultBatch(ids, rows), barred

    def _voiced(self, batch: ReportBatch) -> ReportBatch:
        owner = self.key_id.encode()
        names = [
            blake2b(b"%s %d" % (owner, number), digest_size=ACTOR_BYTES).hexdigest()
            for number in range(self.voices)
        ]
        return batch.voiced(blake2b(owner, digest_size=KEY_BYTES).digest(), names)


def bound_of(key: ApiKey, *, voices: int) -> Bound | None:
    """What a key may say at most; None for no bound.

    Args:
        key: a trusted key; a public one has a voucher instead.
        voices: ``limits.key_voices``, for a key that does not say itself; 0 is no bound. A key
            that may open incidents by command is not held to it.
    """
    own = key.bounds.voices
    found = own if own is not None else 0 if key.scopes & OPENING else voices
    if not found and not key.bounds.locations:
        return None
    return Bound(key_id=key.id, voices=found, locations=frozenset(key.bounds.locations))
