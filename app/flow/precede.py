"""Whether a command may be folded: about an incident that lives, as its sender knows it."""

from collections.abc import Sequence

from app.core.errors import IllegalTransition, NotFound, PreconditionFailed
from app.core.incident import Incident
from app.core.signal import Command
from app.core.types import Status, TenantId
from app.store import incidents
from app.store.engine import Database


async def see_that_it_may(
    db: Database,
    tenant: TenantId,
    command: Command,
    living: Sequence[Incident],
    expected_revision: int | None,
) -> None:
    """See that a command about an incident may be folded.

    Raises:
        NotFound: no such incident.
        IllegalTransition: it has ended for good.
        PreconditionFailed: ``expected_revision`` is not the incident's revision.
    """
    wanted = command.incident
    if wanted is None:
        return
    incident = next((i for i in living if i.id == wanted), None)
    if incident is None:
        ended = await db.read(lambda c: incidents.get(c, tenant, wanted))
        if ended is None:
            raise NotFound(id=wanted)
        if command.name == "undo" and ended.status is Status.MERGED:
            incident = ended  # a merger is undone by the name of either
    if incident is None and ended is not None:
        raise IllegalTransition(
            f"An incident that is {ended.status} takes no more commands.",
            status_now=ended.status.value,
            merged_into=ended.merged_into,
        )
    if expected_revision is not None and incident.revision != expected_revision:
        raise PreconditionFailed(revision=incident.revision)
