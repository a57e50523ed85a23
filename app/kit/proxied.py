"""Behind a proxy: whose request it is, and which certificate the client showed to the proxy.

What a proxy says is worth something only if the connection comes from it; who decides that is the
caller of these functions.
"""

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from cryptography.x509 import Extensions

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LONGEST_CERTIFICATE = 32 * 1024  # characters of a header; a certificate has about 2,000
_PEM = "-----BEGIN CERTIFICATE-----"


class BadCertificate(Exception):  # noqa: N818 - a word of the field
    """Raised when a header holds no certificate that can be read; its text is one word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What is known of a certificate that a client showed.

    ``fingerprint`` is the SHA-256 of it in hexadecimal digits, ``names`` are the DNS names, mail
    addresses and URIs of its subject alternative name, ``subject`` is written as in RFC 4514.
    """

    fingerprint: str
    subject: str
    names: frozenset[str]
    not_before: datetime
    not_after: datetime


def address_of(text: str) -> Address | None:
    """Read an address as proxies write it, perhaps with a port; None for what is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def is_among(address: Address | None, networks: Iterable[Network]) -> bool:
    """Whether an address lies in one of the networks."""
    return address is not None and any(address in network for network in networks)


def client_of(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """The address of the client behind trusted proxies.

    ``X-Forwarded-For`` is read from its end, where our own proxy wrote; the first address that is
    no trusted proxy is the client's, and what stands before it is only what the client says.

    Args:
        peer: the address at the other end of the connection.
        forwarded: the values of all ``X-Forwarded-For`` headers, in the order in which they came.
        trusted: the networks of our own proxies.
    """
    nearest = peer
    hops = [hop for value in forwarded for hop in value.split(",")]
    for hop in (None, *reversed(hops)):
        if hop is not None:
            found = address_of(hop)
            if found is None:  # "unknown", or nonsense: what lies behind cannot be told
                return nearest
            nearest = str(found)
        if not is_among(address_of(nearest), trusted):
            return nearest
    return nearest


def certificate_of(value: str) -> Shown:
    """Read the certificate in a header: RFC 9440, or as widespread proxies write it.

    Taken are the byte sequence of RFC 9440 (``:base64 of DER:``), the same without colons
    (HAProxy), and PEM escaped for URLs (nginx).

    Raises:
        BadCertificate: it is none of these.
    """
    from cryptography import x509  # noqa: PLC0415 - no start needs it that meets no certificates
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - the same

    text = value.strip()
    if len(text) > LONGEST_CERTIFICATE:
        raise BadCertificate("too_long")
    try:
        plain = unquote(text)
        if plain.startswith(_PEM):
            found = x509.load_pem_x509_certificate(plain.encode())
        else:
            inner = text[1:-1] if text.startswith(":") and text.endswith(":") else text
            found = x509.load_der_x509_certificate(base64.b64decode(inner, validate=True))
        return Shown(
            fingerprint=found.fingerprint(hashes.SHA256()).hex(),
            subject=found.subject.rfc4514_string(),
            names=_names(found.extensions),
            not_before=found.not_valid_before_utc,
            not_after=found.not_valid_after_utc,
        )
    except (ValueError, TypeError, binascii.Error) as error:
        raise BadCertificate("unreadable") from error


def _names(extensions: "Extensions") -> frozenset[str]:
    from cryptography import x509  # noqa: PLC0415 - as above

    try:
        found = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    kinds = (x509.DNSName, x509.UniformResourceIdentifier, x509.RFC822Name)
    return frozenset(name for kind in kinds for name in found.get_values_for_type(kind))
