"""Compatibility: what a document of the API takes away from those who were written for another one.

``/v1`` is frozen: nothing that a caller may send stops being taken, and nothing that a caller may
read stops being there. Sources: AIP-180, and what oasdiff calls breaking.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

Document: TypeAlias = dict[str, Any]

METHODS = ("get", "put", "post", "delete", "patch")
DEEPEST = 12  # references that are followed before a schema is taken to be recursive
BOUNDS_BELOW = ("maxLength", "maxItems", "maximum", "exclusiveMaximum", "maxProperties")
BOUNDS_ABOVE = ("minLength", "minItems", "minimum", "exclusiveMinimum", "minProperties")
FIRST_REFUSAL = 300
FROZEN = "/v1/"


def breaks(released: Document, made: Document) -> list[str]:
    """What breaks callers of the released document, one sentence each; empty: nothing does."""
    return sorted(set(_breaks(released, made)))


def _breaks(released: Document, made: Document) -> Iterator[str]:
    for path, item in released["paths"].items():
        if not path.startswith(FROZEN):
            continue
        for method in METHODS:
            if method not in item:
                continue
            name = f"{method.upper()} {path}"
            now = made["paths"].get(path, {}).get(method)
            if now is None:
                yield f"{name} is gone"
                continue
            both = _Both(released, made)
            yield from both.operation(name, item[method], now)
    for name in released.get("webhooks", {}):
        if name not in made.get("webhooks", {}):
            yield f"the event {name} is gone"


class _Both:
    """Two documents side by side; schemas are compared with their references followed."""

    def __init__(self, old: Document, new: Document) -> None:
        self._old = old
        self._new = new

    def operation(self, name: str, old: Document, new: Document) -> Iterator[str]:
        if old.get("operationId") != new.get("operationId"):
            yield f"{name} has another operationId"
        yield from self._security(name, old, new)
        yield from self._parameters(name, old, new)
        yield from self._body(name, old.get("requestBody"), new.get("requestBody"))
        for status, answer in old.get("responses", {}).items():
            if not status.isdigit() or int(status) >= FIRST_REFUSAL:
                continue
            now = new.get("responses", {}).get(status)
            if now is None:
                yield f"{name} no longer answers {status}"
                continue
            for media, told in answer.get("content", {}).items():
                told_now = now.get("content", {}).get(media)
                if told_now is None:
                    yield f"{name} no longer answers with {media}"
                    continue
                pair = told.get("schema", {}), told_now.get("schema", {})
                yield from self._read(f"{name} {status}", *pair, 0)

    def _security(self, name: str, old: Document, new: Document) -> Iterator[str]:
        ways = [_scopes(way) for way in new.get("security", [])]
        for way in old.get("security", [{}]):
            held = _scopes(way)
            if ways and not any(needed <= held for needed in ways):
                yield f"{name} asks for more than {', '.join(sorted(held)) or 'nothing'}"

    def _parameters(self, name: str, old: Document, new: Document) -> Iterator[str]:
        before = {(p["in"], p["name"]): p for p in old.get("parameters", [])}
        after = {(p["in"], p["name"]): p for p in new.get("parameters", [])}
        for key, parameter in before.items():
            if key not in after:
                yield f"{name} no longer takes the {key[0]} parameter {key[1]}"
                continue
            schemas = parameter.get("schema", {}), after[key].get("schema", {})
            yield from self._sent(f"{name} {key[1]}", *schemas, 0)
        for key, parameter in after.items():
            was = before.get(key, {}).get("required", False)
            if parameter.get("required", False) and not was:
                yield f"{name} requires the {key[0]} parameter {key[1]}"

    def _body(self, name: str, old: Document | None, new: Document | None) -> Iterator[str]:
        if new is not None and new.get("required") and not (old or {}).get("required"):
            yield f"{name} requires a body"
        for media, told in (old or {}).get("content", {}).items():
            now = (new or {}).get("content", {}).get(media)
            if now is None:
                yield f"{name} no longer takes {media}"
            else:
                yield from self._sent(
                    f"{name} body", told.get("schema", {}), now.get("schema", {}), 0
                )

    def _sent(self, place: str, old: Document, new: Document, depth: int) -> Iterator[str]:
        """What a caller could send before and cannot now."""
        old, new = _followed(self._old, old), _followed(self._new, new)
        if depth > DEEPEST or not new:
            return
        yield from _narrower(place, old, new)
        for name in new.get("required", []):
            if name not in old.get("required", []):
                yield f"{place} requires {name}"
        for name, member in old.get("properties", {}).items():
            now = new.get("properties", {}).get(name)
            if now is None:
                if new.get("additionalProperties", True) is False:
                    yield f"{place} no longer takes {name}"
                continue
            yield from self._sent(f"{place}.{name}", member, now, depth + 1)
        if isinstance(old.get("items"), dict) and isinstance(new.get("items"), dict):
            yield from self._sent(f"{place}[]", old["items"], new["items"], depth + 1)
        yield from self._choices(place, old, new, depth)

    def _choices(self, place: str, old: Document, new: Document, depth: int) -> Iterator[str]:
        offered = new.get("anyOf") or new.get("oneOf") or [new]
        for choice in old.get("anyOf") or old.get("oneOf") or []:
            taken = (list(self._sent(place, choice, now, depth + 1)) for now in offered)
            if all(taken):
                kind = _followed(self._old, choice).get("type", "one of its shapes")
                yield f"{place} no longer takes {kind}"

    def _read(self, place: str, old: Document, new: Document, depth: int) -> Iterator[str]:
        """What a caller could rely on reading before and cannot now."""
        old, new = _followed(self._old, old), _followed(self._new, new)
        if depth > DEEPEST or not old:
            return
        known, now_known = (one.get("anyOf") or one.get("oneOf") or [one] for one in (old, new))
        if len(known) > 1 or len(now_known) > 1:
            for shape in now_known:  # each that may come must be one that might have come
                found = [list(self._read(place, was, shape, depth + 1)) for was in known]
                if all(found):
                    yield from min(found, key=len)
            return
        kinds, kinds_now = _types(old), _types(new)
        if kinds and not kinds_now <= kinds:
            yield f"{place} may be {', '.join(sorted(kinds_now - kinds))} now"
        for name, member in old.get("properties", {}).items():
            now = new.get("properties", {}).get(name)
            if now is None:
                yield f"{place} no longer has {name}"
                continue
            if name in old.get("required", []) and name not in new.get("required", []):
                yield f"{place} may lack {name}"
            yield from self._read(f"{place}.{name}", member, now, depth + 1)
        if isinstance(old.get("items"), dict) and isinstance(new.get("items"), dict):
            yield from self._read(f"{place}[]", old["items"], new["items"], depth + 1)


def _narrower(place: str, old: Document, new: Document) -> Iterator[str]:
    gone = _types(old) - _types(new)
    if _types(new) and gone and not (gone == {"integer"} and "number" in _types(new)):
        yield f"{place} no longer takes {', '.join(sorted(gone))}"
    if "enum" in new:
        lost = [word for word in old.get("enum", []) if word not in new["enum"]]
        if lost or ("enum" not in old and "const" not in old and _types(old)):
            yield f"{place} no longer takes {', '.join(map(str, lost)) or 'any word'}"
    for name in BOUNDS_BELOW:
        if name in new and new[name] < old.get(name, float("inf")):
            yield f"{place} has a smaller {name}"
    for name in BOUNDS_ABOVE:
        if name in new and new[name] > old.get(name, float("-inf")):
            yield f"{place} has a larger {name}"
    if new.get("pattern") is not None and new.get("pattern") != old.get("pattern"):
        yield f"{place} has another pattern"


def _followed(document: Document, schema: Document) -> Document:
    while "$ref" in schema:
        found: Any = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        schema = found
    return schema


def _types(schema: Document) -> set[str]:
    kind = schema.get("type")
    return {kind} if isinstance(kind, str) else set(kind or ())


def _scopes(way: Document) -> set[str]:
    return {scope for scopes in way.values() for scope in scopes}
