"""Advisories that another collector read from Graph: ``serviceHealthIssue`` objects unchanged."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from app.core.errors import UnreadablePayload
from app.core.foreign import Foreign, Hints
from app.core.signal import Advisory
from app.sources.intake import frame

Translate = Callable[[Mapping[str, Any], datetime], Advisory]


class GraphIssues:
    """Reads one issue, an array, or a page of Graph's list; ``translate`` is the Graph source's."""

    name = "graph"
    media = frame.JSON

    def __init__(self, translate: Translate) -> None:
        self._translate = translate

    def read(self, body: bytes, *, hints: Hints, now: datetime) -> Foreign:
        """Read a body.

        Raises:
            UnreadablePayload: it is no JSON object or array.
        """
        del hints
        found = Foreign()
        whole = frame.decode(body)
        issues = whole["value"] if isinstance(whole, dict) and "value" in whole else whole
        for index, issue in frame.records(issues):
            if issue is None:
                found.refuse(index, "An issue is an object.")
                continue
            try:
                advisory = self._translate(issue, now)
            except UnreadablePayload as error:
                found.refuse(index, str(error))
                continue
            found.advisories.append((advisory, msgspec.json.encode(issue)))
        return found
