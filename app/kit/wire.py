"""Reading of bodies that hold one record, an array or lines of records, good and bad apart."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

R = TypeVar("R", bound=msgspec.Struct)

JSON = "application/json"
LINES = frozenset({"application/x-ndjson", "application/jsonl", "application/ndjson"})
ARRAY_LIMIT = 1_000  # records in an array
LINE_LIMIT = 10_000  # lines of NDJSON
PATH = re.compile(r" - at `(\$[^`]*)`$")
KEY = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
MEMBER = re.compile(r"(?:unknown|required) field `(.*?)`")
UNTOLD = "Input data was truncated"  # msgspec's word for an end that came too soon
HALF = "A text holds half of a surrogate pair, which is no character."
# An escape in a text, whole; the group is half of a surrogate pair (RFC 8259, section 8.2).
ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)
MASK = b"______"  # as long as an escape
TOO_DEEP = "The JSON is nested too deeply."
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Fault:
    """One record that was refused. ``pointer`` is a JSON Pointer within the record."""

    index: int
    detail: str
    pointer: str


@dataclass(slots=True)
class Records(Generic[R]):
    """The good records with their indexes in the body, and the faults."""

    items: list[R]
    indexes: "list[int] | range"
    faults: list[Fault]


class MediaRefused(Exception):  # noqa: N818 - a word of the field
    """The media type is none that is read here."""


class BodyRefused(Exception):  # noqa: N818 - a word of the field
    """The body as a whole cannot be read."""


class RecordReader(Generic[R]):
    """Reads records of one struct type: all at once, and one by one only after a failure."""

    def __init__(self, kind: type[R]) -> None:
        self._one = msgspec.json.Decoder(kind)
        self._many: msgspec.json.Decoder[list[R]] = msgspec.json.Decoder(list[kind])  # type: ignore[valid-type]  # a type made at run time
        self._raw = msgspec.json.Decoder(list[msgspec.Raw])

    def read(self, body: bytes, content_type: str | None) -> Records[R]:
        """Read a body.

        Raises:
            MediaRefused: the content type is neither JSON nor NDJSON in UTF-8.
            BodyRefused: the body is malformed as a whole, empty, or holds too many records.
        """
        if _is_lines(content_type):
            return self._read_lines(body)
        start = body.lstrip()[:1]
        if start == b"[":
            return self._read_array(body)
        if start == b"{":
            return self._read_object(body)
        raise BodyRefused(_explain_start(start))

    def _read_object(self, body: bytes) -> Records[R]:
        try:
            return Records([self._one.decode(body)], range(1), [])
        except (msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
            return Records([], [], [_fault(0, error)])
        except msgspec.DecodeError as error:
            if _holds_half(body):
                return Records([], [], [Fault(0, HALF, "")])
            raise BodyRefused(_plain(error)) from error

    def _read_array(self, body: bytes) -> Records[R]:
        try:
            items = self._many.decode(body)
        except UNREADABLE:
            return self._read_each(body)
        _check_count(len(items), ARRAY_LIMIT, "array")
        return Records(items, range(len(items)), [])

    def _read_each(self, body: bytes) -> Records[R]:
        parts: Sequence[bytes | msgspec.Raw]
        try:
            parts = self._raw.decode(body)
        except UNREADABLE as error:
            parts = self._read_halved(body)
            if not parts:
                raise BodyRefused(_plain(error)) from error
        _check_count(len(parts), ARRAY_LIMIT, "array")
        return self._decode_each(enumerate(parts))

    def _read_halved(self, body: bytes) -> list[bytes]:
        """Take an array apart in which half a surrogate pair made the decoder give up.

        It is masked by as many bytes of text, so that each part is found where it stands.
        """
        masked = _mask_halves(body)
        if masked == body:
            return []
        parts, position = [], 0
        try:
            for part in self._raw.decode(masked):
                position = masked.index(bytes(part), position)
                parts.append(body[position : position + len(bytes(part))])
                position += len(bytes(part))
        except UNREADABLE:
            return []
        return parts

    def _read_lines(self, body: bytes) -> Records[R]:
        lines = body.count(b"\n") + (0 if body.endswith(b"\n") or not body else 1)
        if lines <= LINE_LIMIT:
            try:
                items = self._one.decode_lines(body)
            except UNREADABLE:
                items = []
            # Blank lines, or two records on one line, would shift the indexes.
            if items and len(items) == lines:
                return Records(items, range(lines), [])
        parts = [(i, line) for i, line in enumerate(body.split(b"\n")) if line.strip()]
        _check_count(len(parts), LINE_LIMIT, "body")
        return self._decode_each(iter(parts))

    def _decode_each(self, parts: "Iterator[tuple[int, bytes | msgspec.Raw]]") -> Records[R]:
        found: Records[R] = Records([], [], [])
        indexes: list[int] = []
        for index, part in parts:
            try:
                found.items.append(self._one.decode(part))
            except UNREADABLE as error:
                halved = not isinstance(error, msgspec.ValidationError) and _holds_half(bytes(part))
                found.faults.append(Fault(index, HALF, "") if halved else _fault(index, error))
            else:
                indexes.append(index)
        found.indexes = indexes
        return found


def _mask_halves(body: bytes) -> bytes:
    return ESCAPE.sub(lambda found: MASK if found[1] else found[0], body)


def _holds_half(body: bytes) -> bool:
    return any(found[1] for found in ESCAPE.finditer(body))


def _is_lines(content_type: str | None) -> bool:
    if content_type == JSON:  # as nearly all say it
        return False
    media, _, parameters = (content_type or "").partition(";")
    charset = parameters.lower().partition("charset=")[2].split(";")[0].strip(' "')
    if charset not in {"", "utf-8", "utf8", "us-ascii"}:
        raise MediaRefused(f"The body must be UTF-8, not {charset[:40]}.")
    media = media.strip().lower()
    if media == JSON:
        return False
    if media in LINES:
        return True
    raise MediaRefused("Send application/json, or application/x-ndjson with one record per line.")


def _check_count(count: int, limit: int, what: str) -> None:
    if count == 0:
        raise BodyRefused(f"The {what} holds no records.")
    if count > limit:
        raise BodyRefused(
            f"The {what} holds {count:,} records; at most {limit:,} are taken at once."
        )


def _explain_start(start: bytes) -> str:
    if not start:
        return "The body is empty."
    if start in b'"-0123456789tfn':
        return "The body must be an object or an array of objects."
    return "The body is malformed JSON at byte 0."


def _plain(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"The body is not valid UTF-8: {error.reason}."
    if isinstance(error, RecursionError):
        return TOO_DEEP
    text = str(error)
    if text == UNTOLD:
        return "The JSON is cut short."
    return PATH.sub("", text)


def _fault(index: int, error: Exception) -> Fault:
    if isinstance(error, UnicodeDecodeError):
        return Fault(index, f"Not valid UTF-8: {error.reason}.", "")
    if isinstance(error, RecursionError):
        return Fault(index, TOO_DEEP, "")
    text = str(error)
    if text == UNTOLD:
        return Fault(index, "The JSON is cut short.", "")
    path = PATH.search(text)
    pointer = "".join(f"/{key or number}" for key, number in KEY.findall(path[1])) if path else ""
    detail = PATH.sub("", text)
    if member := MEMBER.search(detail):
        pointer += "/" + member[1].replace("~", "~0").replace("/", "~1")
    return Fault(index, detail[:400], pointer)
