"""Optional parts of libraries that are left out, because the start of a server waits for them.

Each library is made to go without its part: it asks for them in a ``try`` and takes an
``ImportError`` for an answer. An entry of None in ``sys.modules`` is Python's documented way to
say that a module cannot be imported.
"""

import sys

LEFT_OUT = (
    "httpx._main",  # httpx's command line: brings rich and pygments, a tenth of all imports
    "mako.ext.pygmentplugin",  # colours for tracebacks of Alembic's templates: brings pygments
    "pydantic.v1",  # FastAPI asks whether a model is of the old kind; none here is
)


def leave_out() -> None:
    """Leave them out of this process, where nobody has imported them yet."""
    for name in LEFT_OUT:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # as documented
