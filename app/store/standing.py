"""Standing words: the newest word of each monitor that speaks only on change, and its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection, delete, select

from app.core.signal import ProbeResult
from app.core.types import TenantId
from app.store.tables import StandingRow
from app.store.upserts import insert_into

T = StandingRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(ProbeResult)
_CHANGED = ("said_at", "until", "body")


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingWord:
    """What one source said last of one check, and until when it stands."""

    tenant: TenantId
    source: str
    result: ProbeResult
    until: datetime


def put(c: Connection, word: StandingWord) -> bool:
    """Keep a word unless a newer one of the same check is kept; says whether it is the newest."""
    values = {
        "tenant": word.tenant,
        "source": word.source,
        "probe": word.result.probe,
        "location": word.result.location,
        "said_at": word.result.occurred_at,
        "until": word.until,
        "body": _ENCODER.encode(word.result),
    }
    insert = insert_into(c, T).values(values)
    statement = insert.on_conflict_do_update(
        index_elements=[T.c.tenant, T.c.source, T.c.probe, T.c.location],
        set_={name: insert.excluded[name] for name in _CHANGED},
        where=insert.excluded.said_at >= T.c.said_at,
    )
    return c.execute(statement.returning(T.c.probe)).first() is not None


def listing(c: Connection) -> list[StandingWord]:
    """Every word of every tenant, in one order."""
    query = select(T).order_by(T.c.tenant, T.c.source, T.c.probe, T.c.location)
    return [
        StandingWord(
            tenant=TenantId(row.tenant),
            source=row.source,
            result=_DECODER.decode(row.body),
            until=row.until,
        )
        for row in c.execute(query)
    ]


def remove(c: Connection, words: Sequence[StandingWord]) -> None:
    """Let go of words, unless they were renewed in the meantime."""
    for word in words:
        here = (
            T.c.tenant == word.tenant,
            T.c.source == word.source,
            T.c.probe == word.result.probe,
            T.c.location == word.result.location,
            T.c.until == word.until,
        )
        c.execute(delete(T).where(*here))
