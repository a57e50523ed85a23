"""The writer: a message from an incident, by a template of its language in a sandbox.

The same incident, evidence and reader make the same text. A template gets plain values only; the
phishing warning stands outside of it, so that no template can leave it out.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    FileSystemLoader,
    PackageLoader,
    StrictUndefined,
    TemplateError,
    TemplateSyntaxError,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.core.errors import SettingsError
from app.core.incident import Incident
from app.core.message import Audience, Mark, Message, Phase, Reader, facts_of, holds, phase_of
from app.core.types import IncidentId, Origin, Severity, Status, TenantId
from app.formats.messages.words import SHIPPED, Words, read_words

LONGEST = 12_000  # characters of a text; more is a template that runs wild
GAPS = re.compile(r"\n{3,}")
FAULTS = (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError)
SAMPLED = datetime(2026, 3, 16, 6, 30, tzinfo=UTC)  # of the sample that templates are tried with


class Writer:
    """Writes messages in the languages of the settings."""

    def __init__(self, languages: Sequence[str] = ("en", "de"), folder: Path | None = None) -> None:
        """Read all words; templates are read when they are used, or by ``try_out``.

        Raises:
            SettingsError: a language is not there, or is not complete.
        """
        self.languages = tuple(languages)
        self._words = {language: read_words(language, folder) for language in languages}
        # A language that is not shipped falls back to English: better than to silence.
        self._shipped = {
            lang: _environment(words if lang in SHIPPED else read_words("en", None), None)
            for lang, words in self._words.items()
        }
        self._own = (
            {lang: _environment(words, folder) for lang, words in self._words.items()}
            if folder is not None
            else self._shipped
        )

    def write(
        self,
        incident: Incident,
        reader: Reader,
        *,
        audience: Audience,
        language: str,
        phase: Phase | None = None,
        evidence: Mapping[str, Any] | None = None,
        next_update_at: datetime | None = None,
        marks: Sequence[Mark] = (),
    ) -> Message:
        """Write one message.

        Args:
            incident: what happened.
            reader: who is told.
            audience: for whom it is.
            language: one of ``languages``.
            phase: None takes the one of the incident's status.
            evidence: the incident's evidence document.
            next_update_at: when the vendor said that it will say more.
            marks: remarks about the channels, which stand first.

        Raises:
            KeyError: there is no such language.
        """
        chosen = phase_of(incident) if phase is None else phase
        facts = facts_of(
            incident, reader, audience=audience, phase=chosen,
            evidence=evidence, next_update_at=next_update_at, marks=marks,
        )  # fmt: skip
        words, fallback = self._words[language], ""
        try:
            lines = _lines(self._own[language], audience, chosen, facts)
        except FAULTS as error:
            if self._own is self._shipped:
                raise
            fallback = f"{_where(error)}: the shipped template stands in for your own."
            lines = _lines(self._shipped[language], audience, chosen, facts)
        title, text = lines
        remarks = [words.remark(mark) for mark in marks]
        warning = [words.say("text", "warning")] if audience is Audience.USERS else []
        whole = "\n\n".join([*remarks, text, *warning])
        return Message(
            audience=audience,
            language=language,
            phase=chosen,
            title=title,
            text=whole[:LONGEST],
            revision=incident.revision,
            holds=holds(incident, chosen),
            fallback=fallback,
        )

    def try_out(self) -> None:
        """Write every message once about a made-up incident.

        Raises:
            SettingsError: a template cannot be used; the text names its file and line.
        """
        incident, reader = sample(), Reader(tenant="Sample", zone=UTC)
        for language in self.languages:
            self._try_words(language)
            for audience in Audience:
                for phase in Phase:
                    facts = facts_of(incident, reader, audience=audience, phase=phase)
                    try:
                        _lines(self._own[language], audience, phase, facts)
                    except FAULTS as error:
                        raise SettingsError(
                            f"messages: {language}, {audience}, {phase}: {_where(error)}."
                        ) from error

    def _try_words(self, language: str) -> None:
        words = self._words[language]
        facts = {"channel": "a", "service": "viva", "instead": "b"}
        reason = {"text": "", "failing": 1, "total": 2, "advisories": (), "symptoms": (),
                  "networks": ()}  # fmt: skip
        try:
            words.moment(SAMPLED)
            words.span(timedelta(hours=1))
            for word in words.tables["marks"]:
                words.remark(Mark(word=word, facts=facts))
            for word in words.tables["signin_reasons"]:
                words.because((word, reason))
        except FAULTS as error:
            raise SettingsError(
                f"messages: {language}, words.toml: {type(error).__name__} {error}."
            ) from error


def sample() -> Incident:
    """A made-up incident of which little is known."""
    return Incident(
        id=IncidentId("inc_sample"),
        number="INC-2026-0001",
        tenant=TenantId("sample"),
        revision=1,
        key="vendor:exchange-online",
        title="Sample",
        summary="",
        status=Status.CONFIRMED,
        status_reason="quorum",
        severity=Severity.MAJOR,
        origin=Origin.UNKNOWN,
        services=("exchange-online",),
        opened_at=SAMPLED,
        updated_at=SAMPLED + timedelta(minutes=5),
        onset_at=SAMPLED,
    )


def _environment(words: Words, folder: Path | None) -> ImmutableSandboxedEnvironment:
    loaders: list[BaseLoader] = []
    if folder is not None:
        loaders.append(FileSystemLoader(folder / words.language))
    if words.language in SHIPPED:
        loaders.append(PackageLoader("app.formats", f"messages/{words.language}"))
    made = ImmutableSandboxedEnvironment(
        loader=ChoiceLoader(loaders),
        undefined=StrictUndefined,
        autoescape=False,  # plain text; whoever makes markup of it escapes it there
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        say=words.say, each=words.each, listed=words.listed, moment=words.moment,
        span=words.span, because=words.because,
    )  # fmt: skip
    return made


def _lines(
    environment: ImmutableSandboxedEnvironment,
    audience: Audience,
    phase: Phase,
    facts: Mapping[str, Any],
) -> tuple[str, str]:
    """Title and text: the first line of what the template gives, and the rest."""
    template = environment.select_template([f"{audience}-{phase}.txt", f"{audience}.txt"])
    made = "\n".join(line.rstrip() for line in template.render(facts).splitlines())
    title, _, text = made.strip().partition("\n")
    return " ".join(title.split()), GAPS.sub("\n\n", text).strip()


def _where(error: Exception) -> str:
    if isinstance(error, TemplateSyntaxError):
        return f"{error.name or 'a template'} line {error.lineno}: {error.message}"
    return str(error) or type(error).__name__
