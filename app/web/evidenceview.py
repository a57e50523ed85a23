"""View model of the evidence table; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.web.picture import check_name
from app.web.times import instant
from app.web.views import Document, When, when
from app.web.words import CLIENT, SOURCE, SYMPTOM, plural, word


@dataclass(frozen=True, slots=True, kw_only=True)
class CellLine:
    """One row of the evidence table. ``levels`` is its sparkline, each 0 to 1."""

    source: str
    kind: str
    what: str
    symptom: str
    where: str
    amount: str
    first: When | None
    last: When | None
    example: str
    levels: tuple[float, ...]
    id: str = ""
    exemplars: tuple["Exemplar", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemplar:
    """One signal behind a row, as it came in."""

    when: When | None
    code: str
    text: str


def cell_name(cell: Document) -> str:
    """Name a cell in one line."""
    probe = cell["source"] == "probe"
    what = check_name(cell) if probe else word(CLIENT, cell.get("client"))
    where = " · ".join(str(cell[key]) for key in ("location", "region") if cell.get(key))
    parts = (word(SOURCE, cell["source"]), what, word(SYMPTOM, cell.get("symptom")), where)
    return f"{' · '.join(part for part in parts if part)} ({cell.get('count') or 0:,})"


def evidence_lines(
    evidence: Document, now: datetime, *, source: str = "", most: int | None = None
) -> tuple[CellLine, ...]:
    """The evidence table: cells, the largest first within each source; of one source or all.

    ``most`` bounds it, with an equal share for each source, so that none crowds the other out.
    """
    cells = sorted(
        evidence.get("cells") or [],
        key=lambda cell: (cell["source"], -int(cell.get("count") or 0), str(cell.get("id"))),
    )
    cells = [cell for cell in cells if cell.get("count") and source in {"", cell["source"]}]
    window = _window(cells)
    return tuple(_cell_line(cell, window, now) for cell in _shares(cells, most))


def _shares(cells: list[Document], most: int | None) -> list[Document]:
    if most is None:
        return cells
    kinds = list(dict.fromkeys(cell["source"] for cell in cells))
    share = most // max(len(kinds), 1)
    return [
        cell for kind in kinds for cell in [one for one in cells if one["source"] == kind][:share]
    ]


def _window(cells: Sequence[Document]) -> tuple[datetime, datetime] | None:
    """The time that all sparklines span, so that they can be compared."""
    ends = [
        at for cell in cells for key in ("first_at", "last_at") if (at := instant(cell.get(key)))
    ]
    return (min(ends), max(ends)) if ends else None


def _cell_line(cell: Document, window: tuple[datetime, datetime] | None, now: datetime) -> CellLine:
    probe = cell["source"] == "probe"
    reporters = cell.get("reporters") or 0
    counts = plural(cell["count"], "failure" if probe else "report")
    return CellLine(
        source=word(SOURCE, cell["source"]),
        kind=cell["source"],
        what=check_name(cell) if probe else word(CLIENT, cell.get("client")),
        symptom=word(SYMPTOM, cell.get("symptom")),
        where=" · ".join(str(cell[key]) for key in ("location", "region") if cell.get(key)),
        amount=counts if probe else f"{counts}, {plural(reporters, 'person', 'people')}",
        first=when(cell.get("first_at"), now),
        last=when(cell.get("last_at"), now),
        example=_example(cell),
        levels=_levels(cell, window),
        id=str(cell.get("id") or ""),
        exemplars=tuple(_exemplar(sample, now) for sample in cell.get("exemplars") or []),
    )


def _exemplar(sample: Document, now: datetime) -> Exemplar:
    status = sample.get("http_status")
    code = str(sample.get("code") or (f"HTTP {status}" if status else ""))
    return Exemplar(when=when(sample.get("occurred_at"), now), code=code, text=_words(sample))


def _example(cell: Document) -> str:
    sample = next(iter(cell.get("exemplars") or []), None)
    if sample is None:
        return ""
    text, code = _words(sample), sample.get("code")
    return f"{code} {text}" if code and code not in text else text


def _words(sample: Document) -> str:
    return str(sample.get("text") or sample.get("message") or sample.get("error") or "")


def _levels(
    cell: Document, window: tuple[datetime, datetime] | None, bins: int = 40
) -> tuple[float, ...]:
    points = [
        (at, point["count"])
        for point in cell.get("series") or []
        if (at := instant(point["minute"])) is not None and point["count"]
    ]
    if not points or window is None:
        return ()
    begin, end = window
    whole = max((end - begin).total_seconds(), 60.0)
    sums = [0] * bins
    for at, count in points:
        index = int((at - begin).total_seconds() / whole * bins)
        sums[min(max(index, 0), bins - 1)] += count
    peak = max(sums)
    return tuple(round(value / peak, 3) for value in sums)
