"""What is settled about a signal at the door: its time, its service, its ids, what it means."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from ipaddress import ip_address
from itertools import repeat
from struct import pack
from typing import Protocol

from siphashc import siphash

from app.core.catalogue import OTHER, is_known, slug_of
from app.core.policy import Policy
from app.core.types import Client, SignalKind, Symptom, TenantId

ACTOR_BYTES = 16  # of the keyed hash that stands for a reporter
SIP_KEY_BYTES = 16  # of the key of SipHash
KEY_LIMIT = 64  # longest key of BLAKE2b
PERIOD_HOURS = 30 * 24  # how long a person is hashed under one key
NOBODY = "0" * ACTOR_BYTES * 2  # the one actor of all reports that name nobody
HOW_TO_LIST = "GET /v1/services lists the known ones; `other` fits any"


KeyOf = Callable[[int], bytes]  # the key of an epoch of PERIOD_HOURS, counted from 1970


@dataclass(frozen=True, slots=True)
class Classified:
    """What an error was read as.

    ``fine`` is the finer word of the table, absent where nothing matched. ``weight`` says how
    strongly this speaks for an outage, 0 to 1. ``code`` is the code that was given, or else the
    one that was found in the text. ``sure`` says that the given code alone decided, so that the
    same code with another text means the same.

    ``tier`` is the lowest part of the service that the error speaks of, ``kind`` who is at fault
    (outage_like, user_config, security, ours, ambiguous, neutral). ``rule`` names the rule that
    matched, ``words`` what it matched, ``source`` where its meaning comes from. ``desync`` marks
    errors that say: a token was issued, and the mailbox refuses it.
    """

    symptom: Symptom
    fine: str | None
    weight: float
    outage_like: bool
    layer: str | None = None
    code: str | None = None
    sure: bool = False
    tier: str | None = None
    kind: str | None = None
    rule: str | None = None
    words: str | None = None
    source: str | None = None
    desync: bool = False


class Classify(Protocol):
    """Reads an error as a symptom."""

    def __call__(
        self,
        code: str | None,
        http_status: int | None,
        message: str | None,
        symptom: Symptom | None = None,
        *,
        client: Client | None = None,
        service: str | None = None,
    ) -> Classified:
        """Read one error."""
        ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """The moment of arrival and how far from it a stated time is believed."""

    now: datetime
    newest: datetime
    oldest: datetime

    def settle(self, stated: datetime | None) -> tuple[datetime, bool, bool]:
        """Settle when a signal happened: never after its arrival.

        Returns:
            The instant in UTC, whether it is late, and whether it was so far ahead that it was
            taken as now.

        Raises:
            OverflowError: the instant lies before year 1 in UTC.
        """
        if stated is None:
            return self.now, False, False
        if stated > self.now:
            return self.now, False, stated > self.newest
        return stated.astimezone(UTC), stated < self.oldest, False


def arrive(now: datetime, policy: Policy) -> Arrival:
    """Make the time rules for what arrives now."""
    return Arrival(
        now,
        now + timedelta(minutes=policy.future_minutes),
        now - timedelta(minutes=policy.lateness_minutes),
    )


def known_service(word: str) -> str | None:
    """The slug of a service that is named by slug, vendor id or display name; else None."""
    if is_known(word):
        return word
    slug = slug_of(word)
    return slug if slug != OTHER or word.strip().casefold() == OTHER else None


def hour_of(now: datetime) -> int:
    """The hour of an instant, counted from 1970."""
    return int(now.timestamp()) // 3600


def place_of(network: str | None, digests: "Digests") -> str | None:
    """The network of a report as it is kept: a site by its name, an address only as a hash."""
    if not network:
        return None
    try:
        ip_address(network.strip().strip("[]"))
    except ValueError:
        return network
    return f"net-{digests.actor_of(b'a', network)[:12]}"


class Digests:
    """Keyed digests of one tenant: derived ids of its signals, and what stands for its people."""

    def __init__(
        self,
        key: bytes,
        tenant: TenantId,
        kind: SignalKind,
        *,
        people: KeyOf | None = None,
        hour: int = 0,
    ) -> None:
        key = key if len(key) <= KEY_LIMIT else blake2b(key).digest()
        prefix = tenant.encode() + b"\0"
        person = kind.value.encode()[:16]
        self._id = blake2b(prefix, key=key, digest_size=SIP_KEY_BYTES, person=person).digest()
        self._actor = blake2b(prefix, key=key, digest_size=ACTOR_BYTES, person=b"actor")
        self._prefix = prefix
        self._people = people
        self._hour = hour

    def ids_of(self, contents: Sequence[str | bytes]) -> bytes:
        """The derived ids of signals, eight bytes each: SipHash-2-4, made for short and many."""
        return pack(f">{len(contents)}Q", *map(siphash, repeat(self._id), contents))

    def actor_of(self, role: bytes, name: str) -> str:
        """What stands for a person, device or network; letter case does not matter.

        Each changes its key in an hour of its own, so that at no moment many change at once.
        """
        digest = self._actor.copy()
        digest.update(role)
        digest.update(name.strip().lower().encode())
        if self._people is None:
            return digest.hexdigest()
        lasting = digest.digest()
        own = int.from_bytes(lasting[:4], "big") % PERIOD_HOURS
        key = self._people((self._hour + own) // PERIOD_HOURS)
        return blake2b(
            self._prefix + lasting, key=key, digest_size=ACTOR_BYTES, person=b"epoch"
        ).hexdigest()
