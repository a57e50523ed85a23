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
    """See that a command about an incident may be folded; a merger is undone by either's name.

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
        incident = await db.read(lambda c: incidents.get(c, tenant, wanted))
        if incident is None:
            raise NotFound(id=wanted)
        if command.name != "undo" or incident.status is not Status.MERGED:
            raise IllegalTransition(
                f"An incident that is {incident.status} takes no more commands.",
                status_now=incident.status.value,
                merged_into=incident.merged_into,
            )
    if expected_revision is not None and incident.revision != expected_revision:
        raise PreconditionFailed(revision=incident.revision)
