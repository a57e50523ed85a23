"""The declarative mapper: a table of the settings makes any tool's body into our documents."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

import msgspec
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, field_validator, model_validator

from app.core.errors import UnreadablePayload
from app.core.foreign import REPORT_MEMBERS, RESULT_MEMBERS, Foreign, Hints
from app.core.types import Outcome
from app.sources.intake import frame

FORM = "application/x-www-form-urlencoded"
EVENT = "application/cloudevents+json"
EVENTS = "application/cloudevents-batch+json"
MEDIA = {
    "json": frame.JSON,
    "form": frozenset({FORM}),
    "cloudevents": frozenset({EVENT, EVENTS, "application/json"}),
}
FORM_FIELDS = 500  # fields of one form
KNOWN = {"probe_result": RESULT_MEMBERS, "client_report": REPORT_MEMBERS}
NUMBERS = frozenset({"http_status", "latency_ms", "count"})
_Pointer = Annotated[str, Field(pattern=r"^(/.*)?$")]


class FieldRule(BaseModel):
    """``[[mappers.fields]]``: where one field of our document comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: str
    path: _Pointer | None = None
    value: str | None = None
    pattern: str | None = None
    map: dict[str, str] = {}
    default: str | None = None
    time: str | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> "FieldRule":
        if (self.path is None) == (self.value is None):
            msg = f'the field "{self.to}" is taken from a path or is a value, one of the two'
            raise ValueError(msg)
        return self

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            msg = f"the pattern cannot be read: {error}"
            raise ValueError(msg) from error
        return value


class MapperSettings(BaseModel):
    """``[[mappers]]``: how bodies sent to ``/v1/intake/generic/NAME`` are read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    makes: Literal["probe_result", "client_report"] = "probe_result"
    body: Literal["json", "form", "cloudevents"] = "json"
    each: _Pointer = ""
    when: dict[str, str] = {}
    stands_hours: PositiveFloat | None = None
    fields: tuple[FieldRule, ...] = ()

    @model_validator(mode="after")
    def _fits_our_documents(self) -> "MapperSettings":
        known = KNOWN[self.makes]
        for rule in self.fields:
            if rule.to not in known:
                msg = f'a {self.makes} has no field "{rule.to}"; it has {", ".join(sorted(known))}'
                raise ValueError(msg)
        given = {rule.to for rule in self.fields}
        needed = {"probe", "outcome"} if self.makes == "probe_result" else {"service"}
        if needed - given:
            msg = f"the mapper {self.name} makes no {', '.join(sorted(needed - given))}"
            raise ValueError(msg)
        if self.stands_hours is not None and self.makes != "probe_result":
            msg = "only probe results stand until they are changed"
            raise ValueError(msg)
        return self


class Mapper:
    """Reads bodies by one entry of the settings."""

    def __init__(self, settings: MapperSettings) -> None:
        self.name = f"generic/{settings.name}"
        self.media = MEDIA[settings.body]
        self._settings = settings
        hours = settings.stands_hours
        self._hold = None if hours is None else timedelta(hours=hours)

    def read(self, body: bytes, *, hints: Hints, now: datetime) -> Foreign:
        """Read a body.

        Raises:
            UnreadablePayload: it is not of the kind that the entry names.
        """
        del now
        found = Foreign()
        for index, record in frame.records(self._whole(body)):
            if record is None:
                found.refuse(index, "A record is an object.")
            elif not all(_text(look_up(record, p)) == v for p, v in self._settings.when.items()):
                found.passed_over += 1
            else:
                self._read_record(found, index, record, hints)
        return found

    def _whole(self, body: bytes) -> Any:
        if self._settings.body == "form":
            try:
                pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FORM_FIELDS)
            except ValueError as error:
                raise UnreadablePayload("The body is no form.") from error
            return dict(pairs)
        whole = frame.decode(body)
        if self._settings.body == "cloudevents":
            for _, event in frame.records(whole):
                if not frame.table(event).get("specversion"):
                    raise UnreadablePayload("A CloudEvent in structured mode has a specversion.")
        if not self._settings.each:
            return whole
        inner = look_up(whole, self._settings.each)
        if not isinstance(inner, list):
            raise UnreadablePayload(f"There is no list at {self._settings.each}.")
        return inner

    def _read_record(
        self, found: Foreign, index: int, record: Mapping[str, Any], hints: Hints
    ) -> None:
        document: dict[str, Any] = {}
        for rule in self._settings.fields:
            value = _apply(rule, record)
            if value is not None:
                document[rule.to] = value
        if self._settings.body == "cloudevents":
            document.setdefault("id", _event_id(record))
            document.setdefault("occurred_at", frame.instant(record.get("time")))
        if self._settings.makes == "client_report":
            document.setdefault("service", hints.service)
            found.add_report(index, document)
            return
        document.setdefault("service", hints.service)
        document.setdefault("location", hints.location)
        if document.get("outcome") == Outcome.OK:
            document.pop("error", None)
        found.add_result(index, document, hold=self._hold)


def look_up(record: Any, pointer: str) -> Any:
    """The value at a JSON Pointer (RFC 6901), or None."""
    value = record
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def _event_id(record: Mapping[str, Any]) -> str | None:
    source, identity = frame.word(record.get("source")), frame.word(record.get("id"))
    return f"{source} {identity}"[: frame.NAME_LIMIT] if source and identity else None


def _apply(rule: FieldRule, record: Mapping[str, Any]) -> Any:
    text = rule.value if rule.path is None else _text(look_up(record, rule.path))
    if text and rule.pattern is not None:
        match = re.search(rule.pattern, text)
        text = None if match is None else (match[1] if match.re.groups else match[0])
    if rule.map:
        text = rule.map.get(text or "", rule.default)
    if not text:
        text = rule.default
    if text is None:
        return None
    if rule.to == "occurred_at":
        return _instant(text, rule.time)
    return _number(text) if rule.to in NUMBERS else text


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    return None if value is None else str(value).strip()


def _number(text: str) -> float | int | str:
    try:
        return int(text) if text.lstrip("-").isdigit() else float(text)
    except ValueError:
        return text  # the reader of our documents says what is wrong with it


def _instant(text: str, time: str | None) -> str | None:
    try:
        if time is None:
            return frame.instant(text)
        if time in {"unix", "unix_ms"}:
            return frame.instant(float(text) / (1000 if time == "unix_ms" else 1))
        return frame.instant(datetime.strptime(text, time).isoformat())  # noqa: DTZ007 - UTC is assumed where it names no zone
    except ValueError:
        return None
