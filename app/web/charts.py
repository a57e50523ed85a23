"""The picture of an incident: three lanes on one time axis, drawn as SVG from plain values."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from xml.sax.saxutils import escape

from app.web.drawing import (
    Frame,
    Scale,
    box,
    ceiling,
    element,
    label,
    line,
    number,
    place,
    text_width,
    titled,
)
from app.web.lanes import PALETTE, Column, Marker, Picture, Track, Users
from app.web.times import hour_minute

WIDE = 1120
NARROW = 372
GUTTER = 188  # room for row labels in the wide drawing
MARK_ROW = 17


@dataclass(slots=True)
class _Sheet:
    """A drawing in the making: its parts, the words over them, how far down it has come."""

    parts: list[str]
    words: list[str]
    y: float


def draw(picture: Picture, *, narrow: bool = False) -> str:
    """Draw the picture; the narrow form puts labels above the rows, for a phone."""
    width = NARROW if narrow else WIDE
    scale = Scale(
        start=picture.start, end=picture.end, left=6 if narrow else GUTTER, right=width - 14
    )
    frame = Frame(scale=scale, width=width, prefix="n" if narrow else "w", narrow=narrow)
    sheet = _Sheet([], [], 4)
    labels = _marker_labels(picture, frame, sheet)
    _lead(picture, frame, sheet)
    top = sheet.y
    _lane(sheet, frame, "Microsoft", "what the vendor says")
    _tracks(sheet, frame, picture.vendor, empty="No advisory so far", height=20)
    _lane(sheet, frame, "Probes", "what our checks see")
    _tracks(sheet, frame, picture.probes, empty="No probe evidence", height=12)
    _lane(sheet, frame, "Users", _users_subtitle(picture.users))
    _users(sheet, frame, picture.users)
    bottom = sheet.y
    grid = _grid(picture, frame, top, bottom)
    rules = _rules(picture, frame, bottom)
    height = bottom + 24
    body = "".join([_defs(frame.prefix), *grid, *sheet.parts, *rules, *sheet.words, *labels])
    return element(
        "svg",
        f'<title id="{frame.prefix}-t">Time line of the incident</title>'
        + element("desc", escape(picture.description), id=f"{frame.prefix}-d")
        + body,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {number(height)}",
        class_=f"lanes {'narrow' if narrow else 'wide'}",
        role="img",
        aria_labelledby=f"{frame.prefix}-t {frame.prefix}-d",
    )


def _defs(prefix: str) -> str:
    def hatch(name: str, angle: int) -> str:
        return element(
            "pattern",
            line(0, 0, 0, 6, f"hatch-{name}"),
            id=f"{prefix}-{name}",
            width=6,
            height=6,
            patternUnits="userSpaceOnUse",
            patternTransform=f"rotate({angle})",
        )

    return element("defs", hatch("unknown", 45) + hatch("silent", -45))


def _marker_labels(picture: Picture, frame: Frame, sheet: _Sheet) -> list[str]:
    marks = sorted(picture.markers, key=lambda mark: (mark.at, mark.kind))
    spans = []
    for mark in marks:
        x, wide = frame.scale.x(mark.at), text_width(_mark_text(mark)) + 6
        left = x - wide if x + wide > frame.width else x
        spans.append((left, left + wide))
    rows = place(spans)
    parts = []
    for mark, (left, right), row in zip(marks, spans, rows, strict=True):
        x, y = frame.scale.x(mark.at), sheet.y + 11 + row * MARK_ROW
        before = left < x
        parts.append(line(x, y - 9, x, y + 5, f"rule {mark.kind}"))
        parts.append(
            label(
                right - 5 if before else x + 5,
                y,
                _mark_text(mark),
                f"mark {mark.kind}",
                anchor="end" if before else None,
            )
        )
    sheet.y += MARK_ROW * (max(rows, default=-1) + 1) + 4
    return parts


def _mark_text(mark: Marker) -> str:
    return f"{hour_minute(mark.at)} {mark.label}"


def _lead(picture: Picture, frame: Frame, sheet: _Sheet) -> None:
    lead = picture.lead
    if lead is None:
        return
    y = sheet.y + 12
    left, right = sorted((frame.scale.x(lead.start), frame.scale.x(lead.end)))
    sheet.parts.append(box(left, y - 8, right - left, 16, "lead-band"))
    sheet.parts.append(line(left, y, right, y, "lead dashed" if lead.open_ended else "lead"))
    sheet.parts.append(line(left, y - 8, left, y + 8, "lead"))
    if not lead.open_ended:
        sheet.parts.append(line(right, y - 8, right, y + 8, "lead"))
    wide = text_width(lead.label, 12)
    if wide + 14 < right - left:
        middle = (left + right) / 2
        sheet.parts.append(box(middle - wide / 2 - 5, y - 8, wide + 10, 16, "lead-plate"))
        sheet.words.append(label(middle, y + 4, lead.label, "lead-label", anchor="middle"))
    elif right + wide + 10 < frame.width:
        sheet.words.append(label(right + 7, y + 4, lead.label, "lead-label"))
    elif left - wide > 8:  # noqa: PLR2004 - the gap
        sheet.words.append(label(left - 7, y + 4, lead.label, "lead-label", anchor="end"))
    else:
        middle = min(max((left + right) / 2, wide / 2 + 2), frame.width - wide / 2 - 2)
        sheet.words.append(label(middle, y + 22, lead.label, "lead-label", anchor="middle"))
        sheet.y += 16
    sheet.y += 28


def _lane(sheet: _Sheet, frame: Frame, name: str, subtitle: str) -> None:
    sheet.y += 6
    sheet.parts.append(line(0, sheet.y, frame.width, sheet.y, "lane-edge"))
    about = element("tspan", escape(subtitle), dx=8, class_="lane-about")
    sheet.words.append(
        element("text", escape(name) + about, x=2, y=sheet.y + 16, class_="lane-name")
    )
    sheet.y += 24


def _tracks(
    sheet: _Sheet, frame: Frame, tracks: tuple[Track, ...], *, empty: str, height: float
) -> None:
    if not tracks:
        x = frame.scale.left if not frame.narrow else 2
        sheet.words.append(label(x, sheet.y + 10, empty, "row-name"))
        sheet.y += 20
    for track in tracks:
        _track(sheet, frame, track, height)
    sheet.y += 4


def _track(sheet: _Sheet, frame: Frame, track: Track, height: float) -> None:
    if frame.narrow:
        sheet.words.append(label(2, sheet.y + 9, track.label, "row-name"))
        sheet.y += 13
    else:
        text = _cut(track.label, GUTTER - 14)
        sheet.words.append(label(2, sheet.y + height / 2 + 4, text, "row-name"))
    y, scale = sheet.y, frame.scale
    middle = y + height / 2
    sheet.parts.append(line(scale.left, middle, scale.right, middle, "row-base"))
    for part in track.segments:
        left, right = scale.x(part.start), scale.x(part.end)
        wide = max(right - left, 2.0)
        if part.tone in {"unknown", "silent"}:
            sheet.parts.append(
                element(
                    "rect",
                    titled(part.title),
                    x=left,
                    y=y,
                    width=wide,
                    height=height,
                    class_=f"seg {part.tone}",
                    fill=f"url(#{frame.prefix}-{part.tone})",
                )
            )
        else:
            thin = height / 3 if part.tone == "healthy" else height
            sheet.parts.append(
                box(left, middle - thin / 2, wide, thin, f"seg {part.tone}", title=part.title)
            )
        if part.label and text_width(part.label, 11) + 12 < wide:
            sheet.words.append(label(left + 6, middle + 4, part.label, f"seg-label {part.tone}"))
    sheet.parts.extend(
        element(
            "circle", titled(tick.title), cx=scale.x(tick.at), cy=y + height, r=3.2, class_="post"
        )
        for tick in track.ticks
    )
    if track.stated_start is not None:
        x = scale.x(track.stated_start)
        points = " ".join(
            f"{number(x + dx)},{number(middle + dy)}" for dx, dy in ((0, -5), (6, 0), (0, 5))
        )
        text = f"Microsoft states the start as {hour_minute(track.stated_start)}"
        sheet.parts.append(element("polygon", titled(text), points=points, class_="stated"))
    sheet.y += height + (6 if height < 16 or frame.narrow else 9)  # noqa: PLR2004 - thin rows


def _cut(text: str, room: float) -> str:
    most = int(room / text_width("m"))
    return text if len(text) <= most else text[: most - 1] + "…"


def _users_subtitle(users: Users) -> str:
    return (
        "reports per minute" if users.bin_minutes == 1 else (f"reports per {users.bin_minutes} min")
    )


def _users(sheet: _Sheet, frame: Frame, users: Users) -> None:
    if not users.columns:
        x = frame.scale.left if not frame.narrow else 2
        sheet.words.append(label(x, sheet.y + 10, "No client reports", "row-name"))
        sheet.y += 22
        return
    _legend(sheet, frame, users)
    height = 96 if frame.narrow else 120
    top, base = sheet.y, sheet.y + height
    peak = ceiling(max(sum(column.parts) for column in users.columns))
    for share in (0.5, 1.0):
        y = base - share * height
        sheet.parts.append(line(frame.scale.left, y, frame.scale.right, y, "level"))
        value = number(peak * share)
        if frame.narrow:
            sheet.words.append(label(frame.scale.left, y - 2, value, "level-label"))
        else:
            sheet.words.append(
                label(frame.scale.left - 6, y + 4, value, "level-label", anchor="end")
            )
    unit = height / peak
    sheet.parts.extend(_stacks(frame, users, base=base, unit=unit))
    sheet.parts.append(_reporters(frame, users, base=base, unit=unit))
    sheet.parts.extend(_band(frame, users, base=base, unit=unit, height=height))
    sheet.parts.append(line(frame.scale.left, base, frame.scale.right, base, "axis"))
    sheet.y = max(base, top + height)


def _band(frame: Frame, users: Users, *, base: float, unit: float, height: float) -> list[str]:
    """What is usual: a band up to its upper edge and a dashed line at what was expected."""
    edge, middle = [], []
    for one in users.usual:
        left, right = number(frame.scale.x(one.start)), number(frame.scale.x(one.end))
        top = number(base - min(one.upper * unit, height))
        edge.append(f"M{left} {number(base)}V{top}H{right}V{number(base)}z")
        middle.append(f"M{left} {number(base - min(one.expected * unit, height))}H{right}")
    if not edge:
        return []
    told = f"Usual: up to {users.usual[-1].upper:.2g} reporters"
    return [
        element("path", titled(told), d="".join(edge), class_="usual"),
        element("path", d="".join(middle), class_="expected"),
    ]


def _stacks(frame: Frame, users: Users, *, base: float, unit: float) -> list[str]:
    """One path per symptom, because a page of rectangles would weigh ten times as much."""
    paths: list[list[str]] = [[] for _ in users.symptoms]
    hints = []
    for column in users.columns:
        until = column.at + timedelta(minutes=users.bin_minutes)
        left, right = frame.scale.x(column.at), frame.scale.x(until)
        wide = number(max(right - left - (0.6 if right - left > 2 else 0), 0.8))  # noqa: PLR2004
        y = base
        for path, count in zip(paths, column.parts, strict=True):
            if count:
                y -= count * unit
                tall = number(count * unit)
                path.append(f"M{number(left)} {number(y)}h{wide}v{tall}h-{wide}z")
        if not frame.narrow:  # a finger does not hover
            hints.append(box(left, y, right - left, base - y, "hint", title=_told(users, column)))
    drawn = [
        element("path", d="".join(path), class_=f"s{min(index, PALETTE - 1)}")
        for index, path in enumerate(paths)
        if path
    ]
    return [*drawn, *hints]


def _told(users: Users, column: Column) -> str:
    counts = zip(users.symptoms, column.parts, strict=True)
    parts = ", ".join(f"{name} {count}" for name, count in counts if count)
    return f"{hour_minute(column.at)} UTC: {column.reporters} reporters; {parts}"


def _reporters(frame: Frame, users: Users, *, base: float, unit: float) -> str:
    points: list[str] = []
    last: datetime | None = None
    for column in users.columns:
        until = column.at + timedelta(minutes=users.bin_minutes)
        y = number(base - column.reporters * unit)
        move = "L" if last == column.at else "M"
        points.append(
            f"{move}{number(frame.scale.x(column.at))} {y}H{number(frame.scale.x(until))}"
        )
        last = until
    return element("path", d="".join(points), class_="reporters")


def _legend(sheet: _Sheet, frame: Frame, users: Users) -> None:
    totals = [sum(column.parts[i] for column in users.columns) for i in range(len(users.symptoms))]
    entries = [
        (f"s{min(i, PALETTE - 1)}", f"{name} {totals[i]:,}")
        for i, name in enumerate(users.symptoms)
    ]
    if not frame.narrow:
        for row, (kind, text) in enumerate(entries):
            y = sheet.y + row * 16
            sheet.parts.append(box(2, y, 9, 9, kind, radius=1.5))
            sheet.words.append(label(16, y + 9, text, "row-name"))
        y = sheet.y + len(entries) * 16 + 5
        sheet.parts.append(line(2, y, 11, y, "reporters"))
        sheet.words.append(label(16, y + 4, "distinct reporters", "row-name"))
        if users.usual:
            sheet.parts.append(box(2, y + 11, 9, 8, "usual"))
            sheet.parts.append(line(2, y + 15, 11, y + 15, "expected"))
            sheet.words.append(label(16, y + 19, "usual reporters", "row-name"))
        return
    x = 2.0
    for kind, text in entries:
        wide = text_width(text, 10.5) + 20
        if x + wide > frame.width:
            x, sheet.y = 2.0, sheet.y + 15
        sheet.parts.append(box(x, sheet.y, 9, 9, kind, radius=1.5))
        sheet.words.append(label(x + 13, sheet.y + 9, text, "row-name"))
        x += wide
    sheet.y += 26


def _grid(picture: Picture, frame: Frame, top: float, bottom: float) -> list[str]:
    parts = []
    scale = frame.scale
    for at in scale.ticks(56 if frame.narrow else 64):
        x = scale.x(at)
        parts.append(line(x, top + 6, x, bottom + 4, "grid"))
        if scale.left + 8 < x < scale.right - 12 or not frame.narrow:
            midnight = at.hour == 0 and at.minute == 0
            text = at.strftime("%-d %b") if midnight else hour_minute(at)
            parts.append(label(x, bottom + 17, text, "tick", anchor="middle"))
    if picture.now is not None:
        x = scale.x(picture.now)
        parts.append(line(x, top + 6, x, bottom + 4, "now"))
        near = x + 28 > frame.width
        parts.append(
            label(x - 4 if near else x + 4, top + 18, "now", "tick", anchor="end" if near else None)
        )
    if not frame.narrow:
        parts.append(label(2, bottom + 17, "UTC", "tick"))
    return parts


def _rules(picture: Picture, frame: Frame, bottom: float) -> list[str]:
    marks = sorted(picture.markers, key=lambda mark: (mark.at, mark.kind))
    return [
        element(
            "line",
            x1=frame.scale.x(mark.at),
            y1=20,
            x2=frame.scale.x(mark.at),
            y2=bottom,
            class_=f"rule {mark.kind} faint",
        )
        for mark in marks
    ]
