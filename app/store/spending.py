"""Spending: requests counted against a share that several tenants and replicas use together."""

import json
from datetime import datetime, timedelta

from sqlalchemy import Connection, select, update

from app.kit.windows import Limits, Windows
from app.store.tables import SpendingRow
from app.store.upserts import insert_into

T = SpendingRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time


def take(
    c: Connection, name: str, limits: Limits, now: datetime
) -> tuple[Windows, timedelta | None]:
    """Count one request under a name, or say how long to wait.

    The row is locked until the transaction ends, so whoever asks at the same time asks after it.
    """
    known = select(T.c.counted).where(T.c.name == name).with_for_update()
    text = c.execute(known).scalar_one_or_none()
    if text is None:
        c.execute(insert_into(c, T).values(name=name, counted="[]").on_conflict_do_nothing())
        text = c.execute(known).scalar_one()
    before = Windows(tuple((slot, n) for slot, n in json.loads(text)))
    counted, wait = before.take(limits, now)
    if wait is None:
        made = json.dumps(counted.slots, separators=(",", ":"))
        c.execute(update(T).where(T.c.name == name).values(counted=made))
    return counted, wait
