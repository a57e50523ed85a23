"""The status page as files in a directory, which any web server can serve from then on.

Each file is put in its place whole, by renaming, and what others refer to before what refers to
it; the manifest comes last, and then what is no longer part of the page goes. So whoever reads
while it is written sees whole files, and an interrupted export is made good by the next one.
"""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from app.core.errors import SettingsError
from app.web.status.site import Site

MANIFEST = "SHA256SUMS"  # as `sha256sum -c` reads it
READABLE = 0o644  # a web server that runs as somebody else reads them


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export did, in files."""

    files: int
    written: int
    removed: int


def export(site: Site, directory: Path) -> Exported:
    """Write a page into a directory.

    Raises:
        SettingsError: the directory holds something that no export put there, or cannot be
            written to.
    """
    try:
        return _export(site, directory)
    except OSError as error:
        raise SettingsError(
            f"The status page cannot be written to {directory}: {error.strerror}."
        ) from error


def _export(site: Site, directory: Path) -> Exported:
    directory.mkdir(parents=True, exist_ok=True)
    earlier = _earlier(directory)
    sums: dict[str, str] = {}
    written = 0
    for name in site.names():
        _, content = site.file(name)
        sums[name] = hashlib.sha256(content).hexdigest()
        written += _put(directory / name, content)
    written += _put(directory / MANIFEST, _manifest(sums))
    gone = sorted(earlier.keys() - sums.keys())
    for name in gone:
        (directory / name).unlink(missing_ok=True)
    for place in sorted({directory, *((directory / name).parent for name in sums)}):
        _settle(place)
    return Exported(files=len(sums) + 1, written=written, removed=len(gone))


def _earlier(directory: Path) -> dict[str, str]:
    """What an earlier export put there: name → digest."""
    manifest = directory / MANIFEST
    if not manifest.exists():
        strange = next((one.name for one in directory.iterdir()), None)
        if strange is not None:
            raise SettingsError(
                f'{directory} holds "{strange}", which no export of ours put there: name a '
                "directory that is empty or not there yet."
            )
        _put(manifest, b"")  # from now on the directory is ours, also after an interruption
        return {}
    found = {}
    for line in manifest.read_text("utf-8").splitlines():
        digest, _, name = line.partition("  ")
        path = PurePosixPath(name)
        if name and not path.is_absolute() and ".." not in path.parts:
            found[name] = digest
    return found


def _manifest(sums: Mapping[str, str]) -> bytes:
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())).encode()


def _put(path: Path, content: bytes) -> bool:
    """Put a file in its place, durably and whole; an equal one is left as it is."""
    if path.is_file() and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(READABLE)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return True


def _settle(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
