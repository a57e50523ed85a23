"""Sextant with one promise broken on purpose, to see that the harness would notice.

Run as the process under test: ``python -m tests.chaos.sabotage NAME serve …``. Each sabotage is a
mistake that a programmer may make; none of it is in the application.
"""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Select, bindparam, select

from app import cli
from app.core.batch import Batch
from app.core.ports import AttemptOutcome
from app.core.types import TenantId
from app.flow.deliver import Deliver
from app.flow.fold import Fold
from app.flow.ingest import Intake, Receipt
from app.flow.seen import Seen
from app.kit.ids import new_id
from app.store import claims
from app.store.deliveries import IS_PENDING, free

LAG_SECONDS = 0.3  # between what is said and what is done


def early_ack() -> None:
    """Answer first and store afterwards, as a background task does."""
    durable = Intake.append_batch
    tasks = set()

    async def append_batch(self: Intake, tenant: TenantId, batch: Batch, **more: Any) -> Receipt:
        async def later() -> None:
            await asyncio.sleep(LAG_SECONDS)
            await durable(self, tenant, batch, **more)

        task = asyncio.create_task(later())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return Receipt(new_id("int"), len(batch.ids), 0)

    Intake.append_batch = append_batch  # type: ignore[method-assign]  # this is the sabotage


def early_done() -> None:
    """Call everything delivered that was tried."""
    honest = Deliver._send

    async def send(self: Deliver, claimed: claims.Claimed) -> AttemptOutcome:
        outcome = await honest(self, claimed)
        return replace(outcome, outcome="delivered", status=204)

    Deliver._send = send  # type: ignore[method-assign]  # this is the sabotage


def no_dedup() -> None:
    """Forget what was stored, so that repetitions are stored as if they were new."""
    Seen.add = lambda *_: None  # type: ignore[method-assign]  # this is the sabotage


def half_fold() -> None:
    """Keep the checkpoint apart from the state, so that a crash between them folds twice."""
    whole = Fold._store

    async def store(
        self: Fold, tenant: TenantId, before: Any, after: Any, *rest: Any, **more: Any
    ) -> None:
        behind = replace(after, tx=before.tx, seq=before.seq)
        await whole(self, tenant, before, behind, *rest, **more)
        await asyncio.sleep(LAG_SECONDS)
        if (after.tx, after.seq) != (before.tx, before.seq):
            moved = replace(after, revision=after.revision + 1)
            unchanged = replace(rest[0], events=(), incidents=(), evidence={}, advisories=())
            await whole(self, tenant, behind, moved, unchanged, *rest[1:], raw={})

    Fold._store = store  # type: ignore[method-assign]  # this is the sabotage


def no_order() -> None:
    """Send whatever is due, wherever it stands in its lane."""
    table = claims.T

    def heads(*, pings: bool) -> Select[Any]:
        del pings
        return (
            select(table.c.id)
            .where(IS_PENDING, table.c.due_at <= claims.B_NOW, free(claims.B_NOW))
            .where(table.c.subscription == bindparam("b_subscription"))
            .order_by(table.c.position.desc())
            .limit(bindparam("b_room"))
        )

    claims._heads = heads


SABOTAGES: dict[str, tuple[Callable[[], None], str]] = {
    "early_ack": (early_ack, "lost"),
    "early_done": (early_done, "lost"),
    "no_dedup": (no_dedup, "drifted"),
    "half_fold": (half_fold, "drifted"),
    "no_order": (no_order, "inverted"),
}  # name → what it does, and what the checker must find


if __name__ == "__main__":
    SABOTAGES[sys.argv[1]][0]()
    sys.exit(cli.main(sys.argv[2:]))
