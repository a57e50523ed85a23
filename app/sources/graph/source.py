"""Microsoft Graph as a source of advisories: lanes, budget, complete reads."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import quote

from app.clients.budget import Budget, Count
from app.clients.credentials import (
    Application,
    Certificate,
    Credential,
    FederatedToken,
    ManagedIdentity,
    Secret,
)
from app.clients.entra import EntraTokens
from app.clients.graph import GraphClient, VendorError
from app.clients.wires import Wires
from app.core.ports import AdvisoryRead, SourceUnreadable
from app.kit.clock import Clock, SystemClock
from app.kit.windows import Limits
from app.sources.graph.remedies import remedy_of
from app.sources.graph.settings import GraphCredential, GraphSettings
from app.sources.graph.translate import Translator

ISSUES = "admin/serviceAnnouncement/issues"
OVERVIEWS = "admin/serviceAnnouncement/healthOverviews"
OPEN = {"$filter": "isResolved eq false"}
# Graph allows 240 requests a minute to one application at one tenant (throttling limits of service
# communications); half of it is ours at most, so that nobody else's script is starved by us.
REQUESTS_PER_MINUTE = 120
LONGEST = 5  # times timeout_seconds: what still trickles in then is given up, and seen as silence
ASKED_SINGLY = 8  # ids that left the open list; of more, the whole list tells at less cost


class Reader(Protocol):
    """What the source needs of a Graph client."""

    requests: int
    ahead: timedelta | None

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Read one object."""
        ...

    async def list(self, path: str, query: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """Read all records of a list."""
        ...


class Shared:
    """What the sources of all tenants share: connections, translations, and where is counted."""

    def __init__(self, clock: Clock | None = None, count: Count | None = None) -> None:
        """Prepare.

        Args:
            clock: gives the time; the machine's unless given.
            count: counts requests where all replicas do; None counts for each source alone.
        """
        self.clock = clock or SystemClock()
        self.count = count
        self.wires = Wires()
        self.translator = Translator()

    def budget(self, settings: GraphSettings) -> Budget:
        """The budget of one application at one tenant, whoever of us uses it."""
        name = f"graph:{settings.tenant_id}:{settings.client_id}".casefold()
        limits = Limits(settings.requests_per_hour, REQUESTS_PER_MINUTE)
        return Budget(name, limits, self.clock.now, self.count)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.wires.aclose()


def open_graph(settings: GraphSettings, shared: Shared) -> "GraphSource":
    """Make a source from its settings; nothing is sent before the first read."""
    wires, seconds = shared.wires, settings.timeout_seconds
    who = Application(
        authority=settings.authority_url,
        client_id=settings.client_id,
        scope=f"{settings.graph_url}/.default",
        credential=credential_of(settings.credential),
        timeout_seconds=seconds,
    )
    tokens = EntraTokens(
        lambda: wires.synchronous(settings.ca_file, seconds), who, threads=wires.threads
    )
    budget = shared.budget(settings)
    client = GraphClient(
        lambda: wires.asynchronous(settings.ca_file, seconds),
        tokens,
        base_url=settings.graph_url,
        allow=budget.take,
    )
    return GraphSource(
        client, settings, budget=budget, translator=shared.translator, token=tokens.get
    )


def credential_of(given: GraphCredential) -> Credential:
    """The credential as the client takes it."""
    if given.secret is not None:
        return Secret(given.secret.get_secret_value())
    if given.certificate is not None:
        password = given.certificate.password
        return Certificate(
            given.certificate.file, None if password is None else password.get_secret_value()
        )
    if given.federated_token_file is not None:
        return FederatedToken(given.federated_token_file)
    machine = given.managed_identity
    return ManagedIdentity(None if machine is None else machine.client_id)


class GraphSource:
    """Reads issues of service communications: the open ones, those that left, or all of them."""

    name = "graph"

    def __init__(
        self,
        client: Reader,
        settings: GraphSettings,
        *,
        budget: Budget,
        translator: Translator | None = None,
        token: Callable[[], Awaitable[str]] | None = None,
        longest_seconds: float | None = None,
    ) -> None:
        """Prepare.

        Args:
            client: reads; sends nothing beyond ``budget``.
            settings: of the tenant.
            budget: what may be sent.
            translator: makes advisories; shared, because many tenants see the same.
            token: gives the bearer token, for whoever wants to know what it permits.
            longest_seconds: after which a read is given up; some times its silence unless given.
        """
        self.client = client
        self.settings = settings
        self._token = token
        self._budget = budget
        self._translator = translator or Translator()
        self._names: dict[str, str] = {}
        self._longest_seconds = longest_seconds or LONGEST * settings.timeout_seconds

    async def token(self) -> str:
        """Give the bearer token that the reads carry.

        Raises:
            VendorError: there is none.
        """
        if self._token is None:
            raise VendorError("token_unavailable", "This source has no sign-in of its own.")
        return await self._token()

    def budget(self, now: datetime) -> dict[str, int] | None:
        """Say how many requests of this hour's share are used; None before the first one."""
        used = self._budget.used(now)
        if used is None:
            return None
        hour, minute = used
        return {
            "requests_per_hour": self._budget.limits.per_hour,
            "used": hour,
            "requests_per_minute": self._budget.limits.per_minute,
            "used_this_minute": minute,
        }

    def owns(self, vendor_id: str) -> bool:
        """Whether an advisory of that id is ours to follow; public feeds mark theirs by a colon."""
        return ":" not in vendor_id

    async def read(self, *, known_open: Sequence[str], full: bool, now: datetime) -> AdvisoryRead:
        """Read the open issues (or all) and each of ``known_open`` that is not among them.

        An id of ``known_open`` that is absent from the answer's ``raw`` is no longer served: Graph
        was asked for it by name and said so.

        Raises:
            SourceUnreadable: the read did not complete; nothing of it counts.
        """
        try:
            async with asyncio.timeout(self._longest_seconds):
                return await self._read(known_open, full=full, now=now)
        except VendorError as error:
            raise self.unreadable(error) from error
        except TimeoutError as error:  # each answer kept trickling in, and none would have ended
            text = f"The read was not complete after {self._longest_seconds:g} s."
            raise self.unreadable(VendorError("timeout", text)) from error

    async def _read(self, known_open: Sequence[str], *, full: bool, now: datetime) -> AdvisoryRead:
        issues, full = await self._listed(full=full)
        left = sorted(set(known_open) - _ids(issues))
        if len(left) > ASKED_SINGLY and not full:
            issues, full = [*issues, *await self.client.list(ISSUES)], True
            left = sorted(set(known_open) - _ids(issues))
        if full:
            await self._learn_names()
        for vendor_id in left:
            issue = await self._one(vendor_id)
            issues += [] if issue is None else [issue]
        names = dict(self._names)
        return await self._translator.all(issues, names=names, full=full, now=now)

    def unreadable(self, error: VendorError) -> SourceUnreadable:
        """Say what went wrong, with what to do about it."""
        kind = self.settings.credential.kind
        remedy = remedy_of(error.code, credential=kind, number=error.number)
        return SourceUnreadable(
            error.code, error.text, remedy=remedy, retry_after=error.retry_after
        )

    async def _listed(self, *, full: bool) -> tuple[list[dict[str, Any]], bool]:
        """The issues, and whether all of them; without a filter where Graph will not take one."""
        if not full:
            try:
                return await self.client.list(ISSUES, OPEN), False
            except VendorError as error:
                if error.status not in {400, 500}:  # filters are undocumented here and have failed
                    raise
        before = self.client.requests
        issues = await self.client.list(ISSUES)
        if full and self.client.requests - before > 1:
            # Pages are cut by offset from a list that moves, so a row can slip between two of
            # them. The open ones fit on a page, and none of those may be missed.
            issues += await self._open_too()
        return issues, True

    async def _open_too(self) -> list[dict[str, Any]]:
        try:
            return await self.client.list(ISSUES, OPEN)
        except VendorError as error:
            if error.status not in {400, 500}:
                raise
            return []

    async def _learn_names(self) -> None:
        """Learn which display text belongs to which service id today, because the texts drift."""
        try:
            overviews = await self.client.list(OVERVIEWS)
        except VendorError:
            return  # the catalogue's own list of names stands in
        names = {
            str(entry["service"]): str(entry["id"])
            for entry in overviews
            if entry.get("service") and entry.get("id")
        }
        self._names = names or self._names

    async def _one(self, vendor_id: str) -> dict[str, Any] | None:
        try:
            return await self.client.get(f"{ISSUES}/{quote(vendor_id, safe='')}")
        except VendorError as error:
            if error.code == "not_found":
                return None
            raise


def _ids(issues: Sequence[dict[str, Any]]) -> set[str]:
    return {str(issue.get("id")) for issue in issues}
