"""The page templates: one environment, escaped by default, strict about names."""

import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

STATIC = {
    "console.css": "text/css; charset=utf-8",
    "lanes.css": "text/css; charset=utf-8",
    "replay.css": "text/css; charset=utf-8",
    "status.css": "text/css; charset=utf-8",
    "status.js": "text/javascript; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "incident.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


@cache
def static_file(name: str) -> bytes:
    """Read one of our own static files.

    Raises:
        KeyError: we serve no file of that name.
    """
    if name not in STATIC:
        raise KeyError(name)
    return files("app.web").joinpath("static", name).read_bytes()


@cache
def version() -> str:
    """A short digest over the static files, so that a new release is never read from a cache."""
    whole = hashlib.sha256()
    for name in sorted(STATIC):
        whole.update(static_file(name))
    return whole.hexdigest()[:10]


@cache
def environment() -> "Environment":
    """The template environment; compiled templates are kept."""
    # The start does not wait for it: the first page does.
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    return Environment(
        loader=PackageLoader("app.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, **values: Any) -> str:
    """Render one page."""
    return environment().get_template(template).render(version=version(), **values)
