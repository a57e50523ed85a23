"""The page as an Atom feed (RFC 4287), as a calendar (RFC 5545), and as a badge."""

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from xml.sax.saxutils import escape, quoteattr

from app.web.drawing import element, label, text_width
from app.web.status.told import PublicIncident
from app.web.status.view import StatusView
from app.web.status.words import Words

# What XML 1.0 cannot hold at all, not even escaped.
UNSPEAKABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
FOLD = 75  # octets of a line of a calendar
NAMES = uuid.UUID("6f0c2f0e-5f0b-5f57-9a53-9d0f6f7f7a11")  # our own space of names for the feed
TONES = {
    "healthy": "#27734b",
    "degraded": "#8a5200",
    "failing": "#b92d20",
    "unknown": "#5f6c78",
    "work": "#2c6aa8",
}


def _xml(text: str) -> str:
    return escape(UNSPEAKABLE.sub("", text))


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _urn(view: StatusView, name: str) -> str:
    language = view.words.language  # each language is a feed of its own; English was the first
    own = "" if language == "en" else f"{language}/"
    return uuid.uuid5(NAMES, f"{view.page_id}/{own}{name}").urn


def _title(view: StatusView) -> str:
    return view.words.say("feed_title", name=view.name)


def atom(view: StatusView, *, address: str, suffix: str) -> str:
    """The feed: one entry for each incident, whose ``updated`` moves when something is said.

    Args:
        view: what the page shows.
        address: where the page is; empty makes every address relative to the feed.
        suffix: what the address of an incident's page ends in.
    """
    base = f"{address}/" if address else ""
    entries = "".join(_entry(one, view, base, suffix) for one in view.incidents)
    home = base or "index.html"
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="{view.words.language}">\n'
        f"<title>{_xml(_title(view))}</title>\n"
        f"<id>{_urn(view, 'feed')}</id>\n"
        f"<updated>{_rfc3339(view.updated_at)}</updated>\n"
        f'<link rel="self" type="application/atom+xml" href={quoteattr(f"{base}feed.atom")}/>\n'
        f'<link rel="alternate" type="text/html" href={quoteattr(home)}/>\n'
        f"<author><name>{_xml(view.name)}</name></author>\n"
        f"<generator>Sextant</generator>\n{entries}</feed>\n"
    )


def _entry(one: PublicIncident, view: StatusView, base: str, suffix: str) -> str:
    words = view.words
    told = "".join(
        f"<p><strong>{_xml(words.say(update.status, 'phases'))}</strong> "
        f"({_xml(words.spoken(update.at))}): {_lines(update.text)}</p>"
        for update in one.updates
    )
    html = f"<p>{_xml(one.summary)}</p>{told}" if one.summary else told
    link = f"{base}incidents/{one.number}{suffix}"
    return (
        f"<entry>\n<title>{_xml(words.say(one.status, 'phases'))}: {_xml(one.title)}</title>\n"
        f"<id>{_urn(view, one.id)}</id>\n"
        f"<published>{_rfc3339(one.created_at)}</published>\n"
        f"<updated>{_rfc3339(one.updated_at)}</updated>\n"
        f'<link rel="alternate" type="text/html" href={quoteattr(link)}/>\n'
        f"<summary>{_xml(one.summary or one.title)}</summary>\n"
        f'<content type="html">{_xml(html)}</content>\n</entry>\n'
    )


def _lines(text: str) -> str:
    """A text of several lines as markup keeps them."""
    return "<br>".join(_xml(line) for line in text.replace("\r\n", "\n").split("\n"))


def calendar(view: StatusView, *, address: str, suffix: str) -> str:
    """The calendar of incidents and planned work; what goes on ends where the page was made."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        f"PRODID:-//Sextant//Status page//{view.words.language.upper()}",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"X-WR-CALNAME:{_text(_title(view))}",
        *(line for one in view.incidents for line in _incident(one, view, address, suffix)),
        *(
            line
            for work in view.works
            for line in _event(
                _urn(view, work.id),
                stamp=max(work.created_at, work.starts_at)
                if work.starts_at <= view.as_of
                else work.created_at,
                start=work.starts_at,
                end=work.ends_at,
                summary=work.name,
                text=view.words.say(work.status, "phases"),
                kind="MAINTENANCE",
                url="",
            )
        ),
        "END:VCALENDAR",
    ]
    return "".join(f"{_folded(line)}\r\n" for line in lines)


def _incident(one: PublicIncident, view: StatusView, address: str, suffix: str) -> Iterator[str]:
    end = one.resolved_at or view.as_of
    words = view.words
    title = one.title if one.resolved_at else words.say("goes_on", title=one.title)
    told = [
        f"{words.say(u.status, 'phases')} ({u.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC): {u.text}"
        for u in one.updates
    ]
    return _event(
        _urn(view, one.id),
        stamp=one.updated_at,
        start=one.started_at,
        end=max(end, one.started_at),
        summary=title,
        text="\n".join([one.summary, *told] if one.summary else told),
        kind="INCIDENT",
        url=f"{address}/incidents/{one.number}{suffix}" if address else "",
    )


def _event(
    uid: str,
    *,
    stamp: datetime,
    start: datetime,
    end: datetime,
    summary: str,
    text: str,
    kind: str,
    url: str,
) -> Iterator[str]:
    yield from ("BEGIN:VEVENT", f"UID:{uid}", f"DTSTAMP:{_instant(stamp)}")
    yield f"LAST-MODIFIED:{_instant(stamp)}"
    yield f"DTSTART:{_instant(start)}"
    yield f"DTEND:{_instant(end)}"
    yield f"SUMMARY:{_text(summary)}"
    yield f"DESCRIPTION:{_text(text)}"
    yield f"CATEGORIES:{kind}"
    if url:
        yield f"URL:{url}"
    yield from ("TRANSP:TRANSPARENT", "END:VEVENT")


def _instant(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _text(text: str) -> str:
    """Escape a text value (RFC 5545, 3.3.11); control characters are dropped."""
    plain = "".join(c for c in text.replace("\r\n", "\n") if c == "\n" or c.isprintable())
    for mark in ("\\", ";", ","):
        plain = plain.replace(mark, f"\\{mark}")
    return plain.replace("\n", "\\n")


def _folded(line: str) -> str:
    """Fold a line at 75 octets, never within a character (RFC 5545, 3.1)."""
    rows, row, size = [], "", 0
    for character in line:
        width = len(character.encode())
        if size + width > FOLD:
            rows.append(row)
            row, size = " ", 1
        row, size = row + character, size + width
    return "\r\n".join([*rows, row])


def badge(view: StatusView) -> str:
    """The badge: name, state, and as of when, so that an old one cannot pass for new."""
    word = view.words.say(view.tone, "badge")
    stamp = view.words.stamped(view.as_of)
    return _drawn(view.name[:40], word, TONES[view.tone], stamp)


def unknown_badge(name: str, words: Words) -> str:
    """The badge when nothing can be read."""
    word, stamp = words.say("unknown", "badge"), words.say("unreadable", "badge")
    return _drawn(name[:40], word, TONES["unknown"], stamp)


def _drawn(name: str, word: str, colour: str, stamp: str) -> str:
    parts = [(name, "#24323e"), (word, colour), (stamp, "#4d5b68")]
    widths = [text_width(text, 12.5) + 16 for text, _ in parts]
    x, drawn = 0.0, []
    for (text, fill), width in zip(parts, widths, strict=True):
        drawn.append(element("rect", x=x, width=width, height=22.0, fill=fill))
        drawn.append(label(x + width / 2, 15, UNSPEAKABLE.sub("", text), "t", anchor="middle"))
        x += width
    said = f"{name}: {word}, {stamp}"
    title = f"<title>{_xml(said)}</title>"
    clip = '<clipPath id="r"><rect width="100%" height="22" rx="4"/></clipPath>'
    return element(
        "svg",
        f'{title}{clip}<g clip-path="url(#r)" fill="#fff" font-size="12" '
        f'font-family="system-ui,-apple-system,Segoe UI,Helvetica,Arial,sans-serif">'
        f"{''.join(drawn)}</g>",
        xmlns="http://www.w3.org/2000/svg",
        width=x,
        height=22.0,
        viewBox=f"0 0 {x:.0f} 22",
        role="img",
        aria_label=UNSPEAKABLE.sub("", said),
    )
