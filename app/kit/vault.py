"""Secrets at rest: sealed with a key that is not kept beside them."""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken


class Unsealable(Exception):  # noqa: N818 - a word of the field
    """Raised when a sealed text was not sealed with this key."""


class Vault:
    """Seals and opens short texts (Fernet: AES-CBC and HMAC-SHA256)."""

    def __init__(self, key: str) -> None:
        if not key:
            raise ValueError("the key of the vault is empty")
        digest = hashlib.blake2b(key.encode(), digest_size=32, person=b"sextant.vault").digest()
        self._fernet = Fernet(base64.urlsafe_b64encode(digest))

    def seal(self, text: str) -> str:
        """Encrypt a text; the result is ASCII."""
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def open(self, sealed: str) -> str:
        """Decrypt what ``seal`` made.

        Raises:
            Unsealable: the text was sealed with another key, or was changed.
        """
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except (InvalidToken, UnicodeError) as error:
            raise Unsealable("sealed with another key") from error
