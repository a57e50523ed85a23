"""The messages about one story, as the golden files keep them.

Run ``python -m tests.formats.messages_golden`` to write them anew after a change that is
meant.
"""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from app.core.announce import Audience, NoticePhase
from app.core.incident import Incident
from app.core.message import Mark, Reader, Written
from app.core.types import Resolution, Status, Symptom
from app.formats.messages import Writer
from tests.builders import NOW, an_incident
from tests.formats.golden import FULL, LATER

FOLDER = Path(__file__).parent / "told"
READER = Reader(
    tenant="Contoso",
    zone=ZoneInfo("Europe/Berlin"),
    contact="030 4711",
    public_url="https://sextant.example",
    users=5200,
)
OPEN = an_incident(
    **FULL, symptoms=(Symptom.HTTP_5XX, Symptom.AUTH_LOOP), updated_at=NOW + timedelta(minutes=5)
)
OVER = replace(
    OPEN, status=Status.RESOLVED, resolved_at=NOW + timedelta(hours=2), updated_at=LATER,
    resolution=Resolution.VENDOR_FIX,
)  # fmt: skip
EVIDENCE = {
    "cells": [
        {"source": "client_report", "exemplars": [{"code": "0x8004011D"}, {"code": "AADSTS50126"}]},
        {"source": "probe", "exemplars": [{"code": "503"}]},
    ]
}
MARK = Mark(word="instead", facts={"channel": "mail", "service": "exchange-online"})
# For whom, about what, in which phase.
PLAN: tuple[tuple[Audience, Incident, NoticePhase], ...] = (
    *((audience, OPEN, NoticePhase.FIRST) for audience in Audience),
    (Audience.USERS, OPEN, NoticePhase.UPDATE),
    (Audience.USERS, replace(OPEN, status=Status.MITIGATING), NoticePhase.MITIGATED),
    *((audience, OVER, NoticePhase.RESOLVED) for audience in Audience),
)


def written(writer: Writer, language: str) -> list[Written]:
    """Every message of the plan."""
    return [
        writer.write(
            incident, READER, audience=audience, language=language, phase=phase,
            evidence=EVIDENCE, next_update_at=LATER if phase is NoticePhase.UPDATE else None,
            marks=(MARK,) if phase is NoticePhase.UPDATE else (),
        )
        for audience, incident, phase in PLAN
    ]  # fmt: skip


def page(writer: Writer, language: str) -> str:
    """All of them as one text."""
    return "\n".join(
        f"#### {m.audience} {m.phase}\n# {m.title}\n\n{m.text}\n" for m in written(writer, language)
    )


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for word in ("en", "de"):
        (FOLDER / f"{word}.txt").write_text(page(Writer(), word), "utf-8")
