"""Egress policy: which addresses we may dial, by our own table and the operator's allow list."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

PUBLIC_PORTS = frozenset({443, 8443})  # what a public receiver may listen on
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})  # the names of this machine
URL_LENGTH = 2048  # characters
RESOLVE_SECONDS = 2.0  # one resolution may take so long
_PORTS = 65_536

# Our own table: `ipaddress.is_global` calls NAT64, 6to4, multicast and the Azure host global.
_DENIED_V4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24",
        "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32",
    )
)  # fmt: skip
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
_DENIED_V6 = tuple(
    ipaddress.IPv6Network(text)
    for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "2620:4f:8000::/48")
)
# What an operator may call their own.
_PRIVATE: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
                 "::1/128", "fc00::/7")
)  # fmt: skip
# Clouds hand out credentials here: only an entry for the single address permits them.
_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("169.254.169.254", "168.63.129.16", "100.100.100.200", "fd00:ec2::254")
)


class Refused(Exception):  # noqa: N818 - a word of the field
    """Raised for an address that the policy does not permit; ``reason`` is a stable word."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


class Unresolvable(Exception):  # noqa: N818 - a word of the field
    """Raised when a name has no address, or none came in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """One entry of the operator's list: a network or a host name, and its ports (none: all)."""

    network: Network | None = None
    host: str | None = None
    ports: frozenset[int] = frozenset()

    def takes(self, port: int) -> bool:
        """Whether the entry speaks of this port."""
        return not self.ports or port in self.ports

    def covers(self, address: Address, host: str | None) -> bool:
        """Whether the entry speaks of this address, reached under this name."""
        if self.network is None:
            return host is not None and host == self.host
        if address in _METADATA and self.network.num_addresses > 1:
            return False
        return address.version == self.network.version and address in self.network


class Egress:
    """Judges addresses: public ones over TLS on few ports, others only where the operator says."""

    def __init__(
        self,
        allow: Iterable[Allowed] = (),
        *,
        resolve: Resolve | None = None,
    ) -> None:
        self._allow = tuple(allow)
        self._resolve = resolve or _system_resolve

    @classmethod
    def of(
        cls, entries: Iterable[Mapping[str, Any]], *, resolve: Resolve | None = None
    ) -> "Egress":
        """Read the setting ``[egress] allow``: mappings with ``cidr`` or ``host``, and ``ports``.

        Raises:
            ValueError: an entry cannot be used; the text says which and why.
        """
        return cls([_entry(entry) for entry in entries], resolve=resolve)

    def check_url(self, url: str) -> tuple[str, int, bool]:
        """Judge what can be judged without resolving; gives host, port and whether it is plain.

        Raises:
            Refused: the URL is not permitted; the text may be shown.
        """
        host, port, plain = _read(url)
        address = literal(host)
        if address is not None:
            self.judge(address, port, plain=plain, host=None)
        else:
            self._check_name(host, port, plain=plain)
        return host, port, plain

    def _check_name(self, host: str, port: int, *, plain: bool) -> None:
        named = any(
            entry.takes(port) and (entry.network is not None or entry.host == host)
            for entry in self._allow
        )
        if plain and not named:
            raise Refused("scheme", "The URL must use https.")
        if port not in PUBLIC_PORTS and not named:
            raise Refused("port", "The port is not permitted; use 443 or 8443.")

    async def admit(self, url: str) -> None:
        """Judge a URL with one resolution, for a legible answer at creation.

        A name that does not resolve now passes where a public address would: the guard at connect
        time is the boundary.

        Raises:
            Refused: the URL is not permitted.
        """
        host, port, plain = self.check_url(url)
        if literal(host) is not None:
            return
        try:
            await self.resolve(host, port, plain=plain)
        except Unresolvable:
            self._check_absent(host, port, plain=plain)

    def _check_absent(self, host: str, port: int, *, plain: bool) -> None:
        if any(entry.host == host and entry.takes(port) for entry in self._allow):
            return
        if plain:
            raise Refused("scheme", "The URL must use https.")
        if port not in PUBLIC_PORTS:
            raise Refused("port", "The port is not permitted; use 443 or 8443.")

    async def resolve(self, host: str, port: int, *, plain: bool) -> list[str]:
        """Resolve once and judge every answer.

        Raises:
            Refused: at least one answer is not permitted.
            Unresolvable: there is no answer, or none in time.
        """
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                answers = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:  # a timeout is an OSError too
            raise Unresolvable(host) from error
        if not answers:
            raise Unresolvable(host)
        for answer in answers:
            address = literal(answer)
            if address is None:
                raise Refused("address", "That address is not permitted.")
            self.judge(address, port, plain=plain, host=host)
        return list(answers)

    def judge(self, address: Address, port: int, *, plain: bool, host: str | None) -> None:
        """Judge one address that is about to be dialled.

        Raises:
            Refused: it is not permitted.
        """
        address = _unwrap(address)
        name = None if host is None else host.lower().rstrip(".")
        if any(entry.takes(port) and entry.covers(address, name) for entry in self._allow):
            return
        if not is_public(address):
            raise Refused("address", "That address is not permitted.")
        if plain:
            raise Refused("scheme", "The URL must use https.")
        if port not in PUBLIC_PORTS:
            raise Refused("port", "The port is not permitted; use 443 or 8443.")


def check_own(url: str) -> None:
    """Judge an address of the operator's own file, which may be private, by its form.

    No allow-list is asked. Refused are what no operator means: another scheme, plain http beyond
    this machine, user names and passwords, numbers in legacy spellings, and the addresses where
    clouds hand out credentials or where no single machine is.

    Raises:
        Refused: the URL is not permitted; the text may be shown.
    """
    host, _, plain = _read(url)
    address = literal(host)
    if plain and host not in LOOPBACK:
        raise Refused("scheme", "The URL must use https.")
    if address is None:
        return
    address = _unwrap(address)
    private = any(address.version == one.version and address in one for one in _PRIVATE)
    if address in _METADATA or not (private or is_public(address)):
        raise Refused("address", "That address is not permitted.")


def _read(url: str) -> tuple[str, int, bool]:
    """Give host, port and whether it is plain http.

    Raises:
        Refused: it is not a URL of a web server, or carries more than one.
    """
    try:
        parsed = httpx.URL(url)
        host = parsed.raw_host.decode("ascii").lower().rstrip(".")
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise Refused("unreadable", "The URL cannot be read.") from error
    if len(url) > URL_LENGTH or any(ord(mark) <= ord(" ") or mark == "\\" for mark in url):
        raise Refused("unreadable", "The URL is too long or has a character it may not have.")
    if parsed.scheme not in {"https", "http"} or not host:
        raise Refused("scheme", "The URL must start with https:// and name a host.")
    if parsed.userinfo or "@" in parsed.netloc.decode("ascii"):
        raise Refused("userinfo", "The URL must not carry a user name or password.")
    plain = parsed.scheme == "http"
    port = parsed.port or (80 if plain else 443)
    if port >= _PORTS:
        raise Refused("port", "There is no such port.")
    return host, port, plain


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet, by our own table."""
    address = _unwrap(address)
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _DENIED_V4)
    if address.scope_id is not None or address not in _PUBLIC_V6:
        return False
    return not any(address in network for network in _DENIED_V6)


def literal(host: str) -> Address | None:
    """Read a host as an IP address, or None for a name.

    Raises:
        Refused: it is a number that resolvers read as an address in a legacy way (127.1).
    """
    bare = host.removeprefix("[").removesuffix("]")
    try:
        return ipaddress.ip_address(bare)
    except ValueError:
        if ":" in bare or "%" in bare or bare.replace(".", "").isdigit():
            raise Refused("host", "The host is not a proper name or address.") from None
        return None


def _unwrap(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


async def _system_resolve(host: str, port: int) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def _entry(entry: Mapping[str, Any]) -> Allowed:
    unknown = set(entry) - {"cidr", "host", "ports"}
    if unknown or ("cidr" in entry) == ("host" in entry):
        raise ValueError(f"an egress entry has one of cidr and host, and ports: {dict(entry)}")
    ports = frozenset(port for part in entry.get("ports", ()) for port in _ports(part))
    if "host" in entry:
        return Allowed(host=str(entry["host"]).lower().rstrip("."), ports=ports)
    return Allowed(network=ipaddress.ip_network(str(entry["cidr"])), ports=ports)


def _ports(part: int | str) -> range:
    first, _, last = str(part).partition("-")
    try:
        ports = range(int(first), int(last or first) + 1)
    except ValueError as error:
        raise ValueError(f"not a port or a range of ports: {part!r}") from error
    if not ports or ports[0] < 1 or ports[-1] >= _PORTS:
        raise ValueError(f"not a port or a range of ports: {part!r}")
    return ports
