"""The sandbox: templates of one language, which get plain values and reach nothing else."""

import re
from collections.abc import Mapping
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

from app.core.announce import Audience, NoticePhase
from app.formats.messages.words import SHIPPED, BadTemplate, Words

GAPS = re.compile(r"\n{3,}")
# What a template can do wrong: its own faults, and those of the operations that it asks for.
FAULTS = (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError)


class Sandbox:
    """The templates of one language, an operator's own before the shipped ones."""

    def __init__(self, words: Words, folder: Path | None) -> None:
        loaders: list[BaseLoader] = []
        if folder is not None:
            loaders.append(FileSystemLoader(folder / words.language))
        if words.language in SHIPPED:
            loaders.append(PackageLoader("app.formats", f"messages/{words.language}"))
        self._made = ImmutableSandboxedEnvironment(
            loader=ChoiceLoader(loaders),
            undefined=StrictUndefined,
            autoescape=False,  # plain text; whoever makes markup of it escapes it there
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._made.filters.update(
            say=words.say, each=words.each, listed=words.listed, moment=words.moment,
            span=words.span, because=words.because,
        )  # fmt: skip

    def fill(
        self, audience: Audience, phase: NoticePhase, facts: Mapping[str, Any]
    ) -> tuple[str, str]:
        """Title and text: the first line of what the template gives, and the rest.

        Raises:
            BadTemplate: the template cannot be read or filled.
        """
        names = [f"{audience}-{phase}.txt", f"{audience}.txt"]
        try:
            whole = self._made.select_template(names).render(facts)
        except FAULTS as error:
            raise BadTemplate(_where(error)) from error
        made = "\n".join(line.rstrip() for line in whole.splitlines())
        title, _, text = made.strip().partition("\n")
        return " ".join(title.split()), GAPS.sub("\n\n", text).strip()


def _where(error: Exception) -> str:
    if isinstance(error, TemplateSyntaxError):
        return f"{error.name or 'a template'} line {error.lineno}: {error.message}"
    return str(error) or type(error).__name__
