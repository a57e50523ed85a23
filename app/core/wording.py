"""Wording: what the free text of an advisory says, by its label grammar and the lexicon."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from app.core import lexicon
from app.core.signal import Post, Understood
from app.core.types import Client, Symptom

LONGEST_BACKDATE = timedelta(days=180)  # EX1268771 was stated 16 days back; months do occur
LONGEST_PROMISE = timedelta(days=60)  # a next update further away is a slip of the pen
SLACK = timedelta(hours=1)  # clocks and rounding of whoever writes the post
TEXT_LIMIT = 1000  # characters kept of a cause or a mitigation

_LABELS: tuple[tuple[str, str], ...] = (  # first letter, rest; longer ones before their endings
    ("I", "ncident start time"), ("I", "ncident end time"),
    ("P", "reliminary root cause"), ("R", "oot cause"),
    ("T", "itle"), ("U", "ser impact"), ("M", "ore info(?:rmation)?"),
    ("U", "ser experience"), ("C", "ustomer impact"),
    ("C", "urrent status"), ("F", "inal status"), ("S", "cope of impact"),
    ("S", "tart time"), ("E", "nd time"), ("E", "stimated time to resolve"),
    ("N", "ext steps"), ("N", "ext update(?: by)?"), ("W", "orkaround"),
)  # fmt: skip
_ANYHOW = "|".join(first + rest for first, rest in _LABELS)
_CAPITAL = "|".join(f"{first}(?i:{rest})" for first, rest in _LABELS)
# Some posts lost their line breaks, so a label may stand glued to the sentence before it; then
# only its capital tells it from prose.
_LABEL = re.compile(rf"(?:(?m:^)[ \t]*(?i:({_ANYHOW}))|({_CAPITAL}))\s*:")
_KEYS = {
    "incident start time": "start time", "incident end time": "end time",
    "preliminary root cause": "root cause", "next update": "next update by",
    "user experience": "user impact", "customer impact": "scope of impact",  # until about 2016
    "more information": "more info", "final status": "status", "current status": "status",
}  # fmt: skip

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WRITTEN = re.compile(
    r"(?:(?P<weekday>Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?,?\s+)?"
    r"(?P<month>[A-Z][a-z]{2,8})\.?\s+(?P<day>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<year>20\d\d),?\s+"
    r"(?:at\s+)?(?P<hour>\d{1,2}):(?P<minute>\d\d)(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?\s*"
    r"\(?(?:UTC|GMT)\b"
)
_ISO = re.compile(r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?=\s*(?:Z|UTC|GMT)\b)")
_WITHIN = re.compile(
    r"\bupdate within (?:the next )?(\d{1,3}|an|one|two|three) (minute|hour)s?\b", re.IGNORECASE
)
_NUMBERS = {"an": 1, "one": 1, "two": 2, "three": 3}
_SENTENCE = re.compile(r"[^.!?\n]+(?:\.(?=\S)[^.!?\n]*)*[.!?]?")


def sections(text: str) -> dict[str, str]:
    """Cut a post at its labels; keys in lower case, ``""`` holds what stands before the first."""
    cuts = list(_LABEL.finditer(text))
    parts = {"": text[: cuts[0].start()].strip() if cuts else text.strip()}
    ends = [*(cut.start() for cut in cuts[1:]), len(text)]
    for cut, end in zip(cuts, ends, strict=False):  # without a label there is one end too many
        word = " ".join((cut.group(1) or cut.group(2)).lower().split())
        body = text[cut.end() : end].strip()
        parts.setdefault(_KEYS.get(word, word), body)
    return parts


def instant_in(text: str) -> tuple[datetime, str] | None:
    """Find the first UTC instant in a text; a weekday that contradicts its date spoils it.

    Returns:
        The instant and the words that say so, or None.
    """
    for found in _WRITTEN.finditer(text):
        at = _written(found)
        if at is not None:
            return at, found.group()
    for found in _ISO.finditer(text):
        try:
            return datetime.fromisoformat(found.group()).replace(tzinfo=UTC), found.group()
        except ValueError:
            continue
    return None


def _written(found: re.Match[str]) -> datetime | None:
    month = _MONTHS.get(found["month"][:3].lower())
    hour = int(found["hour"])
    if found["half"]:
        if not 1 <= hour <= 12:  # noqa: PLR2004 - a clock face
            return None
        hour = hour % 12 + (12 if found["half"].lower() == "p" else 0)
    if month is None:
        return None
    try:
        at = datetime(
            int(found["year"]), month, int(found["day"]), hour, int(found["minute"]), tzinfo=UTC
        )
    except ValueError:
        return None
    weekday = found["weekday"]
    if weekday and _WEEKDAYS[at.weekday()] != weekday[:3].lower():
        return None
    return at


def stated_start(posts: Sequence[Post]) -> datetime | None:
    """Read the start that the text states; the newest plausible statement wins.

    Plausible is a start that is not after its post and at most 180 days before the first post.
    """
    ordered = _ordered(posts)
    for post in reversed(ordered):
        found = instant_in(sections(post.text).get("start time", ""))
        if found is None:
            continue
        at = found[0]
        if ordered[0].created_at - LONGEST_BACKDATE <= at <= post.created_at + SLACK:
            return at
    return None


def understand(
    *,
    title: str,
    impact_description: str,
    posts: Sequence[Post] = (),
    feature: str | None = None,
    feature_group: str | None = None,
) -> Understood:
    """Say what the wording tells, each finding with the words it rests on.

    ``words`` maps ``clients.outlook_web``, ``cause``, ``next_update_at`` and the like to the
    phrase. The vendor's ``feature`` fields are unreliable and speak only where the text is silent.
    """
    ordered = _ordered(posts)
    cut = [sections(post.text) for post in ordered]
    told = _told(title, impact_description, cut)
    scope = f"{title}\n{impact_description}\n{_newest(cut, 'scope of impact')}"
    words: dict[str, str] = {}
    features = _find("features", lexicon.FEATURES, told, words)
    if not features:
        fields = [part for part in (feature, feature_group) if part]
        features = _find("features", lexicon.FEATURES, fields, words)
    limits = [part for part in _sentences(scope) if not lexicon.NOT_LIMITING.search(part)]
    cause, category = _cause(cut, words)
    mitigation, deed = _mitigation(cut, words)
    return Understood(
        services=_find("services", lexicon.SERVICES, told, words),
        features=features,
        clients=tuple(Client(key) for key in _find("clients", lexicon.CLIENTS, told, words)),
        symptoms=tuple(Symptom(key) for key in _find("symptoms", lexicon.SYMPTOMS, told, words)),
        regions=_find("regions", lexicon.REGIONS, limits, words),
        cause=cause,
        cause_category=category,
        mitigation=mitigation,
        mitigation_category=deed,
        next_update_at=_next_update(ordered, cut, words),
        words=words,
    )


def _ordered(posts: Sequence[Post]) -> list[Post]:
    return sorted(posts, key=lambda post: (post.created_at, post.id))


def _newest(cut: Sequence[Mapping[str, str]], label: str) -> str:
    return next((parts[label] for parts in reversed(cut) if parts.get(label)), "")


def _sentences(text: str) -> list[str]:
    return [found.group().strip() for found in _SENTENCE.finditer(text)]


def _told(title: str, impact: str, cut: Sequence[Mapping[str, str]]) -> list[str]:
    """The sentences that say what is broken: the newest of each section, else the bare text."""
    parts = [title, impact]
    parts += [_newest(cut, label) for label in ("user impact", "more info", "scope of impact")]
    if not any(parts[2:]):
        parts.append(_newest(cut, "") or _newest(cut, "status"))
    sentences = [sentence for part in parts for sentence in _sentences(part)]
    return [sentence for sentence in sentences if not lexicon.STILL_WORKS.search(sentence)]


def _find(
    kind: str, table: Mapping[str, re.Pattern[str]], texts: Sequence[str], words: dict[str, str]
) -> tuple[str, ...]:
    keys = []
    for key, pattern in table.items():
        found = next(filter(None, map(pattern.search, texts)), None)
        if found is not None:
            keys.append(str(key))
            words[f"{kind}.{key}"] = found.group()
    return tuple(keys)


def _cause(
    cut: Sequence[Mapping[str, str]], words: dict[str, str]
) -> tuple[str | None, str | None]:
    text = _newest(cut, "root cause")
    if not text:
        statuses = [_sentences(parts.get("status", "") or parts[""]) for parts in reversed(cut)]
        blames = (one for part in statuses for one in part if lexicon.BLAME.search(one))
        text = next(blames, "")
    if not text:
        return None, None
    words["cause"] = _short(text)
    for key, pattern in lexicon.CAUSES.items():
        found = pattern.search(text)
        if found is not None:
            words["cause_category"] = found.group()
            return _short(text), lexicon.CAUSE_CATEGORIES.get(key, key)
    return _short(text), "unknown"


def _mitigation(
    cut: Sequence[Mapping[str, str]], words: dict[str, str]
) -> tuple[str | None, str | None]:
    """The newest sentence that says what was done, and which kind of deed that is."""
    for parts in reversed(cut):
        for sentence in _sentences(parts.get("status", "") or parts[""]):
            if lexicon.NOT_DONE.search(sentence):
                continue
            for key, pattern in lexicon.MITIGATIONS.items():
                found = pattern.search(sentence)
                if found is not None:
                    words["mitigation"] = found.group()
                    return _short(sentence), key
    return None, None


def _next_update(
    ordered: Sequence[Post], cut: Sequence[Mapping[str, str]], words: dict[str, str]
) -> datetime | None:
    if not ordered:
        return None
    newest, said = ordered[-1], cut[-1]
    found = instant_in(said.get("next update by", ""))
    if found is not None:
        at, text = found
        if newest.created_at - SLACK <= at <= newest.created_at + LONGEST_PROMISE:
            words["next_update_at"] = text
            return at
        return None
    within = _WITHIN.search(newest.text)
    if within is None:
        return None
    words["next_update_at"] = within.group()
    number = _NUMBERS.get(within.group(1).lower()) or int(within.group(1))
    hours = within.group(2).lower() == "hour"
    return newest.created_at + (timedelta(hours=number) if hours else timedelta(minutes=number))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= TEXT_LIMIT else f"{text[: TEXT_LIMIT - 1]}…"
