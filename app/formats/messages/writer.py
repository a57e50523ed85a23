"""The writer: a message from an incident, by a template of its language in a sandbox.

The same incident, evidence and reader make the same text. A template gets plain values only; the
phishing warning stands outside of it, so that no template can leave it out.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.core.announce import Audience, NoticePhase
from app.core.errors import SettingsError
from app.core.incident import Incident
from app.core.message import Mark, Reader, Written, facts_of, holds, phase_of
from app.core.types import IncidentId, Origin, Severity, Status, TenantId
from app.formats.messages.words import SHIPPED, BadTemplate, Words, read_words

if TYPE_CHECKING:
    from app.formats.messages.sandbox import Sandbox

LONGEST = 12_000  # characters of a text; more is a template that runs wild
SAMPLED = datetime(2026, 3, 16, 6, 30, tzinfo=UTC)  # of the sample that templates are tried with


class Writer:
    """Writes messages in the languages of the settings."""

    def __init__(self, languages: Sequence[str] = SHIPPED, folder: Path | None = None) -> None:
        """Nothing is read yet: words and templates are when they are used, or by ``try_out``."""
        self.languages = tuple(languages)
        self._words = cache(lambda language: read_words(language, folder))
        self._own = cache(lambda language: _sandbox(self._words(language), folder))
        # A language that is not shipped falls back to English: better than to silence.
        self._shipped = cache(
            lambda language: _sandbox(
                read_words(language if language in SHIPPED else "en", None), None
            )
        )

    def write(
        self,
        incident: Incident,
        reader: Reader,
        *,
        audience: Audience,
        language: str,
        phase: NoticePhase | None = None,
        evidence: Mapping[str, Any] | None = None,
        next_update_at: datetime | None = None,
        marks: Sequence[Mark] = (),
    ) -> Written:
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
            SettingsError: there is no such language.
        """
        chosen = phase_of(incident) if phase is None else phase
        facts = facts_of(
            incident, reader, audience=audience, phase=chosen,
            evidence=evidence, next_update_at=next_update_at, marks=marks,
        )  # fmt: skip
        words, fallback = self._words(language), ""
        try:
            title, text = self._own(language).fill(audience, chosen, facts)
        except BadTemplate as error:
            fallback = f"{error}: the shipped template stands in for your own."
            title, text = self._shipped(language).fill(audience, chosen, facts)
        remarks = [words.remark(mark) for mark in marks]
        warning = [words.say("text", "warning")] if audience is Audience.USERS else []
        whole = "\n\n".join([*remarks, text, *warning])
        return Written(
            audience=audience,
            language=language,
            phase=chosen,
            title=title,
            text=whole[:LONGEST],
            revision=incident.revision,
            holds=holds(incident, chosen),
            fallback=fallback,
        )

    def remark(self, mark: Mark, language: str) -> str:
        """The sentence of a mark; a language that is not there gives the first that is."""
        return self._words(language if language in self.languages else self.languages[0]).remark(
            mark
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
                for phase in NoticePhase:
                    facts = facts_of(incident, reader, audience=audience, phase=phase)
                    try:
                        self._own(language).fill(audience, phase, facts)
                    except BadTemplate as error:
                        raise SettingsError(
                            f"messages: {language}, {audience}, {phase}: {error}."
                        ) from error

    def _try_words(self, language: str) -> None:
        words = self._words(language)
        facts = {"channel": "a", "service": "viva"}
        reason = {"text": "", "failing": 1, "total": 2, "advisories": (), "symptoms": (),
                  "networks": ()}  # fmt: skip
        try:
            words.moment(SAMPLED)
            words.span(timedelta(hours=1))
            for word in words.tables["marks"]:
                words.remark(Mark(word=word, facts=facts))
            for word in words.tables["signin_reasons"]:
                words.because((word, reason))
        except (LookupError, ValueError, TypeError, AttributeError) as error:
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


def _sandbox(words: Words, folder: Path | None) -> "Sandbox":
    # No start waits for the template library: the first message does.
    from app.formats.messages.sandbox import Sandbox  # noqa: PLC0415

    return Sandbox(words, folder)
