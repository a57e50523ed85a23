"""Packing: how bodies are compressed; a body from before compression is read as it is."""

import threading

import zstandard

LEVEL = 1  # of zstd: higher ones cost more time than they save space here
MAGIC = b"\x28\xb5\x2f\xfd"  # RFC 8878, section 3.1.1; no JSON and no msgpack map begins so


class _Tools(threading.local):
    """A compressor is no thing to share between threads."""

    def __init__(self) -> None:
        self.pack = zstandard.ZstdCompressor(level=LEVEL)
        self.unpack = zstandard.ZstdDecompressor()


_tools = _Tools()


def pack(plain: bytes) -> bytes:
    """Compress a body."""
    return _tools.pack.compress(plain)


def unpack(body: bytes) -> bytes:
    """Give a body as it was before ``pack``, also when it never was packed."""
    return _tools.unpack.decompress(body) if body.startswith(MAGIC) else body
