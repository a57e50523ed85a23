"""What the doors are given: the application context as protocols, wired in bootstrap alone."""

from collections.abc import Sequence
from typing import Any, Protocol

from app.core.announce import ChannelFacts
from app.core.incident import Incident
from app.core.signal import Command
from app.core.types import TenantId
from app.flow.acts import Act
from app.flow.callers import KnownCallers
from app.flow.messages import Messages
from app.flow.returns import Returns
from app.flow.tokens import Tokens
from app.kit.clock import Clock
from app.kit.metrics import Registry
from app.kit.proxied import Network
from app.kit.wake import Bell
from app.store.engine import Database


class Limits(Protocol):
    """The ``[limits]`` settings that the edge obeys; 0 means no limit."""

    @property
    def body_bytes(self) -> int:
        """Largest body of an ordinary operation, in bytes."""

    @property
    def intake_body_bytes(self) -> int:
        """Largest body of an intake operation, in bytes, on the wire or inflated."""

    @property
    def api_requests_per_second(self) -> float:
        """Requests per second that one API key may send, outside intake."""

    @property
    def intake_requests_per_second(self) -> float:
        """Requests per second that one API key may send to intake."""

    @property
    def key_voices(self) -> int:
        """Most reporters that a key of evidence speaks for, unless it says itself; 0: any."""

    @property
    def public_body_bytes(self) -> int:
        """Largest body that comes by a public key, in bytes."""


class ChannelLike(Protocol):
    """One ``[[tenants.channels]]`` entry, as far as the edge reads it."""

    @property
    def facts(self) -> ChannelFacts:
        """What choosing and wording know of it."""


class MirrorLike(Protocol):
    """One ``[[tenants.mirrors]]`` entry, as far as the edge reads it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def system(self) -> str:
        """What is on the other side."""

    @property
    def depends_on(self) -> Sequence[str]:
        """Slugs of services without which it cannot be reached."""


class TenantSettings(Protocol):
    """One ``[[tenants]]`` entry, as far as the edge reads it."""

    @property
    def id(self) -> str:
        """The tenant's id."""

    @property
    def name(self) -> str:
        """The tenant's display name."""

    @property
    def channels(self) -> Sequence[ChannelLike]:
        """Its channels, in the order of the settings file."""

    @property
    def mirrors(self) -> Sequence[MirrorLike]:
        """Its mirrors, in the order of the settings file."""


class Server(Protocol):
    """The ``[server]`` settings, as far as the edge reads them."""

    @property
    def trusted_proxies(self) -> Sequence[Network]:
        """The networks of our own proxies."""

    @property
    def client_certificate_header(self) -> str:
        """The header in which they pass on a client's certificate."""


class EdgeSettings(Protocol):
    """The settings, as far as the edge reads them."""

    @property
    def server(self) -> Server:
        """Where we listen, and behind what."""

    @property
    def limits(self) -> Limits:
        """Limits on callers."""

    @property
    def tenants(self) -> Sequence[TenantSettings]:
        """All tenants, in the order of the settings file."""


class CommandFold(Protocol):
    """The fold, as far as the edge uses it."""

    async def command(
        self,
        tenant: TenantId,
        command: Command,
        *,
        expected_revision: int | None = None,
        act: Act | None = None,
    ) -> Incident:
        """Store and fold one command in one transaction and return the incident after it.

        Raises:
            NotFound: no such incident.
            IllegalTransition: the command may not follow the present status.
            PreconditionFailed: ``expected_revision`` is not the incident's revision.
        """


class Bells(Protocol):
    """The wake-ups that the edge waits for."""

    @property
    def feed(self) -> Bell:
        """Rung after events were committed; only readers of the feed wait for it."""


class App(Protocol):
    """The application context, kept at ``request.app.state.context``."""

    @property
    def db(self) -> Database:
        """The database."""

    @property
    def clock(self) -> Clock:
        """The clock of the story (virtual in the demo)."""

    @property
    def settings(self) -> EdgeSettings:
        """The settings."""

    @property
    def fold(self) -> CommandFold:
        """The fold."""

    @property
    def intake(self) -> Any:
        """``app.flow.ingest.Intake``."""

    @property
    def messages(self) -> Messages:
        """The use cases of ``app.flow.messages``."""

    @property
    def returns(self) -> Returns:
        """The use case of ``app.flow.returns``."""

    @property
    def maintenance(self) -> Any:
        """The use cases of ``app.flow.maintenance``."""

    @property
    def links(self) -> Any:
        """The use cases of ``app.flow.links``."""

    @property
    def subscriptions(self) -> Any:
        """The use cases of ``app.flow.subscriptions``."""

    @property
    def refolds(self) -> Any:
        """The use cases of ``app.flow.refolds``: replays of the stored intake."""

    @property
    def tokens(self) -> Tokens | None:
        """Verifies access tokens of the configured issuers; None or empty: there are none."""

    @property
    def callers(self) -> KnownCallers:
        """Finds callers by their certificate or signature."""

    @property
    def public_url(self) -> str:
        """Where this installation is reached, without a trailing slash."""

    @property
    def secret(self) -> bytes:
        """The instance's secret, from which cursors are signed."""

    @property
    def metrics(self) -> Registry:
        """The metrics of this process."""

    @property
    def bells(self) -> Bells:
        """Wake-ups between loops of this process."""
