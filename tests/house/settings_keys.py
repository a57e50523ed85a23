"""Every key of the settings with the text of its default, read from the classes themselves."""

from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_type_hints

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from app.settings import Settings
from app.settings.read import _leaves

REQUIRED = "required"
NONE = "none"


def keys(kind: Any = Settings, path: str = "") -> Iterator[tuple[str, str]]:
    """Dotted path and default of every key; tables of lists stand without their number."""
    for key, annotation, default in _members(kind):
        full = f"{path}.{key}" if path else key
        below = [leaf for leaf in _leaves(annotation) if _is_table(leaf)]
        if below:
            for leaf in below:
                yield from keys(leaf, full)
        else:
            yield full, _shown(default)


def _members(kind: Any) -> Iterator[tuple[str, Any, Any]]:
    if issubclass(kind, BaseModel):
        for name, info in kind.model_fields.items():
            yield name, info.annotation, info.default
        return
    hints = get_type_hints(kind)
    for part in fields(kind):
        yield part.name, hints[part.name], part.default


def _is_table(leaf: Any) -> bool:
    return isinstance(leaf, type) and (issubclass(leaf, BaseModel) or is_dataclass(leaf))


def _shown(default: Any) -> str:
    match default:
        case bool():
            return str(default).lower()
        case None:
            return NONE
        case tuple():
            return "[" + ", ".join(_shown(item) for item in default) + "]"
        case dict():
            return "{}" if not default else str(default)
        case float():
            return f"{default:g}"
        case str():
            return f'"{default}"'
        case _ if default is PydanticUndefined or default is MISSING:
            return REQUIRED
        case _:
            return str(default)
