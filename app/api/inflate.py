"""Compressed request bodies: inflated in bounded steps, so that a bomb costs next to nothing."""

import zlib
from collections.abc import Iterator

import zstandard

from app.core.errors import PayloadTooLarge, UnreadablePayload, UnsupportedMediaType

STEP = 64 * 1024  # bytes inflated at a time
READ = 16 * 1024  # wire bytes that the decompressor sees at a time
WINDOW = 2 * 1024 * 1024  # largest zstd window; more would let a few bytes claim much memory
RATIO = 100  # inflated bytes per wire byte that we still believe
PARTS = 64  # most members of a gzip body, or frames of a zstd body
RATIO_FROM = 1024 * 1024  # inflated bytes below which the ratio does not matter


def inflate(wire: bytes, encoding: str, *, limit: int) -> bytes:
    """Inflate a whole body; ``limit`` in bytes, 0 for none.

    Raises:
        UnsupportedMediaType: the encoding is not gzip or zstd.
        PayloadTooLarge: it inflates to more than ``limit`` or than ``RATIO`` times its size.
        UnreadablePayload: it is cut off or corrupt.
    """
    steps = _STEPS.get(encoding.strip().lower())
    if steps is None:
        raise UnsupportedMediaType("Send bodies plain, or with gzip or zstd.")
    parts, size = [], 0
    try:
        for part in steps(wire):
            size += len(part)
            if limit and size > limit:
                raise PayloadTooLarge(limit_bytes=limit)
            if size > RATIO_FROM and size > RATIO * len(wire):
                raise PayloadTooLarge("The body inflates to far more than was sent.")
            parts.append(part)
    except (zlib.error, zstandard.ZstdError) as error:
        raise UnreadablePayload("The compressed body is corrupt.") from error
    return b"".join(parts)


def _gunzip(wire: bytes) -> Iterator[bytes]:
    rest, members = wire, 0
    while rest:  # a gzip file may have several members
        members = _count(members)
        stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        while not stream.eof:
            part = stream.decompress(rest, STEP)
            rest = stream.unconsumed_tail
            if part:
                yield part
            elif not rest and not stream.eof:
                raise UnreadablePayload("The compressed body is cut off.")
        rest = stream.unused_data


def _unzstd(wire: bytes) -> Iterator[bytes]:
    inflater = zstandard.ZstdDecompressor(max_window_size=WINDOW)
    rest, frames = wire, 0
    while rest:  # one frame at a time, because only a frame tells whether it was complete
        frames = _count(frames)
        frame, rest = _frame(rest)
        with inflater.stream_reader(frame, read_size=READ, read_across_frames=False) as reader:
            while part := reader.read(STEP):
                yield part


def _count(parts: int) -> int:
    if parts == PARTS:
        raise UnreadablePayload("The compressed body has too many parts.")
    return parts + 1


def _frame(wire: bytes) -> tuple[bytes, bytes]:
    """Split the first frame off, by walking over its blocks (RFC 8878, section 3.1.1).

    Walking needs no memory, while inflating to find the end would need all of it.
    """
    header = zstandard.frame_header_size(wire)
    checksum = zstandard.get_frame_parameters(wire).has_checksum
    position = header
    last = False
    while not last:
        if position + 3 > len(wire):
            raise UnreadablePayload("The compressed body is cut off.")
        block = int.from_bytes(wire[position : position + 3], "little")
        last, kind, size = bool(block & 1), block >> 1 & 3, block >> 3
        position += 3 + (1 if kind == 1 else size)  # kind 1 repeats one byte ``size`` times
    position += 4 if checksum else 0
    if position > len(wire):
        raise UnreadablePayload("The compressed body is cut off.")
    return wire[:position], wire[position:]


_STEPS = {"gzip": _gunzip, "x-gzip": _gunzip, "zstd": _unzstd}
