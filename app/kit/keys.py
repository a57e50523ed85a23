"""Keys: typed, checkable secrets (prefix, 176 bits of chance, checksum), stored only as SHA-256."""

import hashlib
import secrets
import zlib

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_DIGITS = 30  # base 62 digits, 178 bits
CHECK_DIGITS = 6  # base 62 digits of a CRC-32
PARTS = 4


def base62(number: int, length: int) -> str:
    """Write a number in base 62, padded with zeros to ``length`` digits."""
    digits = []
    for _ in range(length):
        number, rest = divmod(number, 62)
        digits.append(ALPHABET[rest])
    return "".join(reversed(digits))


def make_key(kind: str) -> str:
    """Make a key ``sxt_<kind>_<random>_<checksum>``; ``kind`` has letters and digits only."""
    body = f"sxt_{kind}_" + "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_DIGITS))
    return f"{body}_{_checksum(body)}"


def is_wellformed(key: str, kind: str) -> bool:
    """Tell a typing error or a stranger's secret from a key of ours, without asking anybody."""
    parts = key.split("_")
    if len(parts) != PARTS or parts[0] != "sxt" or parts[1] != kind or not key.isascii():
        return False
    body, _, check = key.rpartition("_")
    return secrets.compare_digest(check, _checksum(body))


def digest(key: str) -> str:
    """The SHA-256 of a key, as hex; no slow hash is needed for so much chance."""
    return hashlib.sha256(key.encode()).hexdigest()


def _checksum(body: str) -> str:
    return base62(zlib.crc32(body.encode()), CHECK_DIGITS)
