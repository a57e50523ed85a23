"""Reading the settings: a TOML file, ``SEXTANT_*`` variables over it, references to secrets."""

import difflib
import json
import re
import tomllib
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from app.core.errors import SettingsError
from app.settings.agent import AgentSettings
from app.settings.model import Settings

_Made = TypeVar("_Made", bound=BaseModel)

PREFIX = "SEXTANT_"
DEFAULT_FILE = Path("sextant.toml")
NOT_SETTINGS = frozenset({"SEXTANT_CONFIG"})  # read before the settings are
FILES = re.compile(r"(^|[._])file$")  # keys that hold a path, relative to the settings file


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read the settings.

    Args:
        path: the file; None takes ``SEXTANT_CONFIG``, else ``sextant.toml`` if it is there.
        environ: the environment; its ``SEXTANT_*`` variables go over the file.

    Raises:
        SettingsError: something is missing, unknown or contradictory; its text says what to do.
    """
    path = path or (Path(environ["SEXTANT_CONFIG"]) if environ.get("SEXTANT_CONFIG") else None)
    if path is None and DEFAULT_FILE.exists():
        path = DEFAULT_FILE
    tree = {} if path is None else _parse(path)
    for name, value in sorted(environ.items()):
        if name.startswith(PREFIX) and name not in NOT_SETTINGS:
            _override(tree, name, value)
    return _made(Settings, tree, path, environ)


def load_agent(path: Path, environ: Mapping[str, str]) -> AgentSettings:
    """Read the settings of an agent; the environment is asked only for what the file refers to.

    Raises:
        SettingsError: something is missing, unknown or contradictory; its text says what to do.
    """
    return _made(AgentSettings, _parse(path), path, environ)


def _made(
    kind: type[_Made], tree: dict[str, Any], path: Path | None, environ: Mapping[str, str]
) -> _Made:
    inline = str(tree.get("allow_inline_secrets", "")).lower() in {"true", "1"}
    folder = Path() if path is None else path.parent
    reading = _Reading(folder=folder, environ=environ, inline=inline)
    tree = reading.visit(tree, kind, "")
    if not reading.problems:
        try:
            return kind.model_validate(tree)
        except ValidationError as error:
            reading.problems.extend(_sentence(item) for item in error.errors())
    where = "settings" if path is None else path.name
    raise SettingsError(f"{where}: " + "; ".join(dict.fromkeys(reading.problems)) + ".")


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path.name}: cannot be read ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name}: not valid TOML: {error}.") from error


class _Given(str):
    """A text that came by reference or from the environment, so it is no inline secret."""

    __slots__ = ()


def _override(tree: dict[str, Any], name: str, value: str) -> None:
    steps = name.removeprefix(PREFIX).lower().split("__")
    place: Any = tree
    for number, step in enumerate(steps[:-1]):
        below: Any = [] if steps[number + 1].isdecimal() else {}
        key = _place(place, step, name)
        if isinstance(place, list) and key == len(place):
            place.append(below)
        elif isinstance(place, dict):
            place.setdefault(key, below)
        place = place[key]
    key = _place(place, steps[-1], name)
    if isinstance(place, list):
        place[key : key + 1] = [_value(name, value)]
    else:
        place[key] = _value(name, value)


def _place(place: Any, step: str, name: str) -> Any:
    match place:
        case dict():
            return step
        case list() if step.isdecimal() and int(step) <= len(place):
            return int(step)
        case _:
            raise SettingsError(f'environment: {name} does not fit: there is no place "{step}".')


def _value(name: str, value: str) -> Any:
    if not value.startswith(("[", "{")):
        return _Given(value)
    try:
        return json.loads(value)
    except ValueError as error:
        raise SettingsError(f"environment: {name} is not valid JSON: {error}.") from error


@dataclass(slots=True)
class _Reading:
    """Walks the tree beside the model: finds unknown keys, resolves references and paths."""

    folder: Path
    environ: Mapping[str, str]
    inline: bool
    problems: list[str] = field(default_factory=list)

    def visit(self, value: Any, annotation: Any, path: str) -> Any:
        leaves = set(_leaves(annotation))
        tables = [leaf for leaf in leaves if _keys(leaf) is not None]
        known = {key: kind for table in tables for key, kind in (_keys(table) or {}).items()}
        match value:
            case dict() if len(value) == 1 and value.keys() <= {"env", "file"} - known.keys():
                return self._resolve(value, path)
            case dict() if tables:
                return self._table(value, known, path)
            case dict():
                return {
                    key: self.visit(item, annotation, f"{path}.{key}")
                    for key, item in value.items()
                }
            case list():
                return [
                    self.visit(item, annotation, f"{path}[{n}]") for n, item in enumerate(value)
                ]
            case str() if SecretStr in leaves and not isinstance(value, _Given) and not self.inline:
                self.problems.append(
                    f'{path}: a secret stands in the file; give it as {{ env = "NAME" }} or '
                    f'{{ file = "PATH" }}, or set allow_inline_secrets = true'
                )
            case str() if Path in leaves or FILES.search(path):
                return str(self.folder / value)
            case _:
                pass
        return str(value) if isinstance(value, _Given) else value

    def _table(self, value: dict[str, Any], known: dict[str, Any], path: str) -> dict[str, Any]:
        result = {}
        for key, item in value.items():
            full = f"{path}.{key}" if path else key
            if key in known:
                result[key] = self.visit(item, known[key], full)
            else:
                self.problems.append(f'unknown key "{full}"; {_nearest(key, known, path)}')
        return result

    def _resolve(self, value: dict[str, Any], path: str) -> str:
        ((kind, name),) = value.items()
        if kind == "env":
            found = self.environ.get(str(name))
            if not found:
                self.problems.append(f'{path}: the environment variable "{name}" is not set')
            return found or "-"
        try:
            return (self.folder / str(name)).read_text("utf-8").strip() or "-"
        except (OSError, UnicodeDecodeError):
            self.problems.append(f'{path}: the file "{name}" cannot be read')
            return "-"


def known_keys(annotation: Any = Settings, path: str = "") -> Iterator[str]:
    """Name every key as a dotted path, tables of lists without their number."""
    for leaf in _leaves(annotation):
        for key, kind in (_keys(leaf) or {}).items():
            full = f"{path}.{key}" if path else key
            below = list(dict.fromkeys(known_keys(kind, full)))
            yield from below or [full]


def _nearest(key: str, known: Mapping[str, Any], path: str) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    if near:
        return f'did you mean "{path}.{near[0]}"?' if path else f'did you mean "{near[0]}"?'
    paths = {full.rpartition(".")[2]: full for full in known_keys()}
    near = difflib.get_close_matches(key, paths, n=1, cutoff=0.0)
    return f'the nearest known key is "{paths[near[0]]}"'


def _leaves(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _leaves(get_args(annotation)[0])
    elif origin in {Union, types.UnionType, tuple, list, dict}:
        for part in get_args(annotation):
            yield from _leaves(part)
    else:
        yield annotation


def _keys(leaf: Any) -> dict[str, Any] | None:
    if not isinstance(leaf, type):
        return None
    if issubclass(leaf, BaseModel):
        return {info.alias or name: info.annotation for name, info in leaf.model_fields.items()}
    if is_dataclass(leaf):
        hints = get_type_hints(leaf)
        return {part.name: hints[part.name] for part in fields(leaf)}
    return None


def _sentence(item: ErrorDetails) -> str:
    path = re.sub(r"\.(\d+)", r"[\1]", ".".join(str(step) for step in item["loc"]))
    if item["type"] == "missing":
        return f"{path} is missing; it has no default"
    return f"{path}: {item['msg'].removeprefix('Value error, ')}"
