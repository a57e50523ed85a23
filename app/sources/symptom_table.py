"""The symptom table: from codes and words of a client's error to the closed list of symptoms."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import Any

from app.core.arrival import Classified
from app.core.types import Client, Symptom

CACHE_ENTRIES = 16_384  # remembered answers; a storm repeats few codes and texts
OUTAGE_LIKE = 0.5  # weight from which a symptom without a code counts as outage-like
UNKNOWN_WEIGHT = 0.3  # what an error that we cannot read says for an outage, 0 to 1

# What a symptom that the client names itself says for an outage where no code backs it, 0 to 1;
# of the order of the table's own weights for the same symptom.
STATED_WEIGHT: Mapping[Symptom, float] = {
    Symptom.HTTP_5XX: 0.6,
    Symptom.TIMEOUT: 0.5,
    Symptom.CONNECTION_FAILED: 0.5,
    Symptom.DNS_FAILURE: 0.3,
    Symptom.TLS_FAILURE: 0.35,
    Symptom.AUTH_LOOP: 0.6,
    Symptom.AUTH_REJECTED: 0.35,
    Symptom.THROTTLED: 0.3,
    Symptom.SLOW: 0.4,
    Symptom.MAIL_DELAYED: 0.5,
    Symptom.MAIL_REJECTED: 0.2,
    Symptom.SYNC_FAILED: 0.4,
    Symptom.NOT_FOUND: 0.1,
    Symptom.CONTENT_ERROR: 0.3,
    Symptom.DATA_STALE: 0.4,
    Symptom.OTHER: UNKNOWN_WEIGHT,
}
EAS_FAMILIES = ("eas", "eas_sync", "eas_foldersync", "eas_ping")
HEX_FAMILIES = ("mapi", "outlook", "wam")
GENERIC_PHRASES = frozenset({"client", "front_end"})  # layers whose phrases say less than a status
ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
IN_TEXT = re.compile(
    r"AADSTS(?P<aadsts>\d{5,7})"
    r"|(?P<hex>0x[0-9A-Fa-f]{8})\b"
    r"|(?<![\d.])(?P<enhanced>[245]\.\d{1,3}\.\d{1,3})(?![\d.])",
    re.IGNORECASE,
)
STATUS_IN_TEXT = re.compile(r"\bst:\s*(\d{3})\b")
WORD = re.compile(r"[A-Za-z][A-Za-z.]{6,}")
CODE_PREFIX = re.compile(
    r"^(?:aadsts|http(?:[ _-]?status)?[ _:/-]*|eas[ .:_-]+|smtp[ .:_-]+)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class _Range:
    prefix: str
    first: int
    last: int
    meaning: Classified


@dataclass(frozen=True, slots=True)
class _Reading:
    """What a text says: by a code or sure phrase in it, by a vague phrase, and any code in it."""

    specific: Classified | None
    generic: Classified | None
    code: str | None


_SILENT = _Reading(None, None, None)


@dataclass(slots=True)
class _Index:
    by_code: dict[tuple[str, str], Classified] = field(default_factory=dict)
    by_name: dict[str, Classified] = field(default_factory=dict)
    ranges: list[_Range] = field(default_factory=list)
    phrases: list[tuple[re.Pattern[str], Classified]] = field(default_factory=list)
    generic: list[tuple[re.Pattern[str], Classified]] = field(default_factory=list)


class SymptomTable:
    """Reads errors by the table; what codes and texts say is remembered."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.version = int(document["version"])
        self.rows: tuple[Mapping[str, Any], ...] = tuple(document["rows"])
        self.sources: Mapping[str, str] = document["sources"]
        self.closed = {fine: Symptom(word) for fine, word in document["closed"].items()}
        self._index = _Index()
        for row in document["rows"]:
            self._add(row)
        self._codes: dict[tuple[str, Client | None], Classified | None] = {}
        self._texts: dict[int, _Reading] = {}

    def classify(
        self,
        code: str | None,
        http_status: int | None,
        message: str | None,
        symptom: Symptom | None = None,
        *,
        client: Client | None = None,
        service: str | None = None,
    ) -> Classified:
        """Read an error: its code first, then codes in its text, its status, then phrases.

        A symptom that the client names is believed; the table then only adds what agrees with it.
        An unknown code is ``other`` and kept.
        """
        del service  # every code of the table means the same for each service
        stated = self._read_code(code, client) if code else None
        text = self._read_text(message) if message else _SILENT
        found = (
            stated
            or text.specific
            or (self._by_status(http_status) if http_status else None)
            or text.generic
            or Classified(Symptom.OTHER, None, UNKNOWN_WEIGHT, outage_like=False, code=text.code)
        )
        if symptom is not None and symptom is not found.symptom:
            weight = STATED_WEIGHT[symptom]
            found = Classified(symptom, None, weight, weight >= OUTAGE_LIKE, code=found.code)
        return found if code is None else replace(found, code=code, sure=stated is not None)

    def knows(self, code: str, client: Client | None = None) -> bool:
        """Whether a code alone means something here; what does not is listed for curation."""
        return self._read_code(code, client) is not None

    def matches(
        self,
        code: str | None,
        http_status: int | None,
        message: str | None,
        *,
        client: Client | None = None,
    ) -> list[Classified]:
        """Everything that an error matches, the deciding one first, each with rule and words."""
        found: list[Classified | None] = []
        if code:
            stated = self._read_code(code, client)
            found.append(stated and replace(stated, words=code.strip()))
        if message:
            found.extend(self._specific(message))
        if http_status:
            by_status = self._by_status(http_status)
            found.append(by_status and replace(by_status, words=str(http_status)))
        if message:
            found.extend(self._phrase_matches(self._index.generic, message))
        return list(dict.fromkeys(one for one in found if one is not None))

    def _read_code(self, code: str, client: Client | None) -> Classified | None:
        key = (code, client)
        if key not in self._codes:
            if len(self._codes) >= CACHE_ENTRIES:
                self._codes.clear()
            self._codes[key] = self._by_code(code.strip(), client)
        return self._codes[key]

    def _read_text(self, message: str) -> _Reading:
        # The hash stands for the text, so that no text of a user is held here.
        key = hash(message)
        reading = self._texts.get(key)
        if reading is None:
            if len(self._texts) >= CACHE_ENTRIES:
                self._texts.clear()
            unknown = IN_TEXT.search(message)
            reading = self._texts[key] = _Reading(
                next(self._specific(message), None),
                next(self._phrase_matches(self._index.generic, message), None),
                unknown[0] if unknown and not unknown["enhanced"] else None,
            )
        return reading

    def _specific(self, text: str) -> Iterator[Classified]:
        yield from self._codes_in_text(text)
        yield from self._phrase_matches(self._index.phrases, text)
        for match in STATUS_IN_TEXT.finditer(text):
            if found := self._by_status(int(match[1])):
                yield replace(found, words=match[0])

    def _by_code(self, code: str, client: Client | None) -> Classified | None:
        if code.lower().startswith("0x") or (code.startswith("-2") and code[1:].isdigit()):
            return self._by_hex(code)
        if named := self._index.by_name.get(code.casefold()):
            return named
        bare = CODE_PREFIX.sub("", code)
        if ENHANCED.fullmatch(bare):
            return self._by_enhanced(bare, certain=True)
        if not (bare.isascii() and bare.isdigit()):
            return next(self._codes_in_text(code), None)
        families: tuple[str, ...] = ("aadsts", "x-ms-diagnostics")
        if client is Client.ACTIVESYNC:
            families = (*EAS_FAMILIES, *families)
        for family in families:
            if found := self._index.by_code.get((family, bare)):
                return found
        return self._by_status(int(bare)) if len(bare) == 3 else None  # noqa: PLR2004 - digits

    def _by_hex(self, code: str) -> Classified | None:
        # Windows logs write a result as a signed decimal as often as in hexadecimal.
        number = f"0x{int(code) & 0xFFFFFFFF:08X}" if code.startswith("-") else code
        for family in HEX_FAMILIES:
            if found := self._index.by_code.get((family, number.casefold())):
                return found
        return next(self._phrase_matches(self._index.phrases, number), None)

    def _by_enhanced(self, code: str, *, certain: bool) -> Classified | None:
        if found := self._index.by_code.get(("smtp", code)):
            return found
        prefix, _, last = code.rpartition(".")
        for span in self._index.ranges:
            if span.prefix == prefix and span.first <= int(last) <= span.last:
                return span.meaning
        if not certain or code.startswith("2"):
            return None  # in free text it is as likely a version number
        if code.startswith("4"):
            return _rfc("enhanced_4xx", Symptom.MAIL_DELAYED, 0.35, tier="transport")
        return _rfc("enhanced_5xx", Symptom.MAIL_REJECTED, 0.1, tier="transport")

    def _by_status(self, status: int) -> Classified | None:
        if found := self._index.by_code.get(("http", str(status))):
            return found
        if 500 <= status <= 599:  # noqa: PLR2004 - server errors, RFC 9110
            return _rfc("http_5xx", Symptom.HTTP_5XX, 0.6)
        if status in {400, 406, 415, 422}:
            return _rfc("http_4xx", Symptom.CONTENT_ERROR, 0.1)
        if status == 410:  # noqa: PLR2004 - Gone, RFC 9110
            return _rfc("http_4xx", Symptom.NOT_FOUND, 0.1)
        return None

    def _codes_in_text(self, text: str) -> Iterator[Classified]:
        for match in IN_TEXT.finditer(text):
            found = None
            if match["aadsts"]:
                found = self._index.by_code.get(("aadsts", match["aadsts"]))
            elif match["hex"]:
                found = self._by_hex(match["hex"])
            elif match["enhanced"]:
                found = self._by_enhanced(match["enhanced"], certain=False)
            if found is not None:
                yield replace(found, code=match[0], words=match[0])
        for match in WORD.finditer(text):
            if found := self._index.by_name.get(match[0].strip(".").casefold()):
                name = match[0].strip(".")
                yield replace(found, code=name, words=name)

    @staticmethod
    def _phrase_matches(
        phrases: list[tuple[re.Pattern[str], Classified]], text: str
    ) -> Iterator[Classified]:
        for pattern, meaning in phrases:
            if match := pattern.search(text):
                yield replace(meaning, words=match[0])

    def _add(self, row: Mapping[str, Any]) -> None:
        meaning = Classified(
            symptom=self.closed[row["symptom"]],
            fine=row["symptom"],
            weight=float(row["outage_weight"]),
            outage_like=row["class"] == "outage_like",
            layer=row["layer"],
            tier=row["tier"],
            kind=row["class"],
            rule=row["id"],
            source=row["source_key"],
            desync=row.get("desync", False),
        )
        pattern, family = row["pattern"], row["family"]
        match row["match_kind"]:
            case "exact":
                self._index.by_name[pattern.casefold()] = meaning
            case "regex":
                generic = family == "text" and row["layer"] in GENERIC_PHRASES
                kept = self._index.generic if generic else self._index.phrases
                kept.append((re.compile(pattern), meaning))
            case "enhanced_code" if "-" in pattern:
                prefix, _, span = pattern.rpartition(".")
                first, _, last = span.partition("-")
                self._index.ranges.append(_Range(prefix, int(first), int(last), meaning))
            case _:
                self._index.by_code[family, pattern.casefold()] = meaning


def _rfc(rule: str, symptom: Symptom, weight: float, *, tier: str = "front_end") -> Classified:
    """What a status means that no row lists: RFC 9110 for HTTP, RFC 3463 for mail."""
    outage_like = weight >= OUTAGE_LIKE
    kind = "outage_like" if outage_like else "ambiguous"
    return Classified(
        symptom, None, weight, outage_like, tier=tier, kind=kind, rule=f"rfc.{rule}", source="RFC"
    )


def load_symptom_table() -> SymptomTable:
    """Read the table that ships with this package; call it once and hand the result on."""
    text = resources.files("app.sources").joinpath("symptoms.json").read_text("utf-8")
    return SymptomTable(json.loads(text))
