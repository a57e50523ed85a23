"""Paging: opaque cursors, signed and bound to their list, tenant and filters."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query

from app.core.errors import CursorMismatch

T = TypeVar("T")

DEFAULT_LIMIT = 50
MOST = 500  # a larger limit is taken as this (AIP-158)
# The cursor of the page after the one that this request was given, for its Link header.
FOLLOWING: ContextVar[str | None] = ContextVar("following", default=None)
TAG_BYTES = 16
VERSION = 1


async def limit(
    limit: Annotated[
        int, Query(ge=1, description=f"Most items of one page; above {MOST} is taken as {MOST}.")
    ] = DEFAULT_LIMIT,
) -> int:
    """The size of a page."""
    return min(limit, MOST)


Limit = Annotated[int, Depends(limit)]
Cursor = Annotated[str | None, Query(max_length=2048, description="`next` of the page before.")]


class Pager:
    """Makes and reads the cursors of one list, for one tenant and one set of filters."""

    def __init__(
        self, secret: bytes, kind: str, *, tenant: str, filters: Mapping[str, Any] | None = None
    ) -> None:
        bound = [VERSION, kind, tenant, sorted((filters or {}).items())]
        text = json.dumps(bound, default=str, separators=(",", ":"))
        # The binding is part of the signing key: a cursor of another list simply fails to verify.
        self._key = hmac.digest(secret, b"cursor\x00" + text.encode(), hashlib.sha256)

    def write(self, position: Any) -> str:
        """Make the cursor of a position, any JSON value."""
        body = json.dumps(position, separators=(",", ":")).encode()
        return _spell(self._tag(body) + body)

    def read(self, cursor: str | None) -> Any:
        """The position of a cursor; None at the start of the list.

        Raises:
            CursorMismatch: it was not made here, for this list, tenant and filters.
        """
        if cursor is None:
            return None
        try:
            padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
            token = base64.b64decode(padded, altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error) as error:
            raise CursorMismatch from error
        tag, body = token[:TAG_BYTES], token[TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(body)) or _spell(token) != cursor:
            raise CursorMismatch
        return json.loads(body)

    def page(
        self, rows: Sequence[T], size: int, position: Callable[[T], Any]
    ) -> tuple[list[T], str | None]:
        """Cut what was read, at most one row more than ``size``, into a page and its ``next``."""
        kept = list(rows[:size])
        more = len(rows) > size
        following = self.write(position(kept[-1])) if more else None
        FOLLOWING.set(following)
        return kept, following

    def _tag(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, hashlib.sha256)[:TAG_BYTES]


def _spell(token: bytes) -> str:
    # There is one spelling; others of the same bits are refused, so that cursors can be compared.
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode()
