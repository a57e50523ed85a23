"""Client certificates: the private key and the certificate that fits it, from PEM or PFX files."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    pkcs12,
)

_BEGIN = b"-----BEGIN "
_PFX = b"0\x82"  # how DER begins; a PFX file is DER


class UnreadableCertificate(Exception):  # noqa: N818 - a word of the field
    """Raised when a file gives no usable key and certificate; its text is a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """A key, the certificate that fits it, and its chain, all as PEM; the key is in the clear."""

    key_pem: str
    certificate_pem: str
    thumbprint: str
    sha256_thumbprint: str
    not_before: datetime
    not_after: datetime
    subject: str


def read_certificate(path: Path, password: str | None = None) -> ClientCertificate:
    """Read a PEM file (key and certificate in any order) or a PFX file.

    Args:
        path: the file; what it is, is seen from its bytes and not from its name.
        password: of the key, or of the PFX file.

    Raises:
        UnreadableCertificate: there is no such file, no key, no certificate that fits it, the
            password is wrong, or the key is not RSA.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableCertificate(f"The file {path.name} cannot be read.") from error
    secret = password.encode() if password else None
    key, certificates = _from_pem(content, secret) if _BEGIN in content else _pfx(content, secret)
    if not isinstance(key, RSAPrivateKey):
        raise UnreadableCertificate("The file holds no RSA private key; Entra takes RSA only.")
    wanted = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for made in certificates:
        shown = made.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if shown == wanted:
            return ClientCertificate(
                key_pem=key.private_bytes(
                    Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
                ).decode(),
                certificate_pem=made.public_bytes(Encoding.PEM).decode(),
                # The portal lists registered certificates by this, so that people can compare.
                thumbprint=made.fingerprint(hashes.SHA1()).hex().upper(),  # noqa: S303
                sha256_thumbprint=made.fingerprint(hashes.SHA256()).hex(),
                not_before=made.not_valid_before_utc,
                not_after=made.not_valid_after_utc,
                subject=made.subject.rfc4514_string(),
            )
    raise UnreadableCertificate("The file holds no certificate that fits its private key.")


def _from_pem(content: bytes, secret: bytes | None) -> tuple[object, list[x509.Certificate]]:
    begin = content.find(b"PRIVATE KEY-----")
    if begin < 0:
        raise UnreadableCertificate("The file holds no private key.")
    block = content[content.rfind(_BEGIN, 0, begin) :]
    try:
        key = load_pem_private_key(block, secret if b"ENCRYPTED" in block[:200] else None)
        held = b"-----BEGIN CERTIFICATE-----" in content
        return key, x509.load_pem_x509_certificates(content) if held else []
    except (ValueError, TypeError) as error:
        raise UnreadableCertificate(_why(error, secret)) from error


def _pfx(content: bytes, secret: bytes | None) -> tuple[object, list[x509.Certificate]]:
    if not content.startswith(_PFX):
        raise UnreadableCertificate("The file is neither PEM nor PFX.")
    try:
        key, leaf, chain = pkcs12.load_key_and_certificates(content, secret)
    except (ValueError, TypeError) as error:
        raise UnreadableCertificate(_why(error, secret)) from error
    return key, [*([leaf] if leaf else []), *chain]


def _why(error: Exception, secret: bytes | None) -> str:
    told = str(error).lower()
    if "password" in told or "decrypt" in told or "encrypted" in told:
        return "The password is wrong." if secret else "The key needs a password, and none is set."
    return "The file does not parse as key and certificate."
