"""The tables, and nothing else; a table class validates nothing and never meets a request."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Text, text
from sqlmodel import Field, SQLModel

from app.store import audit_tables, journal_tables, link_tables  # noqa: F401 - they register themselves
from app.store.columns import BIG, instant, partial_index


class InstanceRow(SQLModel, table=True):
    """Facts of this installation: its secrets and its schema's words."""

    __tablename__ = "instance"
    key: str = Field(primary_key=True)
    value: str = Field(sa_column=Column(Text(), nullable=False))


class ApiKeyRow(SQLModel, table=True):
    """An API key; only its SHA-256 is kept. ``scopes, grants`` are comma-separated."""

    __tablename__ = "api_keys"
    id: str = Field(primary_key=True)
    tenant: str
    name: str
    scopes: str
    hash: str = Field(index=True, unique=True)
    last_four: str
    created_at: datetime = Field(sa_column=instant())
    expires_at: datetime | None = Field(default=None, sa_column=instant(nullable=True))
    revoked_at: datetime | None = Field(default=None, sa_column=instant(nullable=True))
    last_used_at: datetime | None = Field(default=None, sa_column=instant(nullable=True))
    bounds: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    grants: str = Field(sa_column=Column(Text(), nullable=False, server_default=text("''")))
    client: str = Field(
        sa_column=Column(Text(), nullable=False, server_default=text("''"), index=True)
    )


class IntakeRow(SQLModel, table=True):
    """The intake log: one row per accepted batch; ``tx`` orders commits on PostgreSQL.

    ``ids`` is the concatenation of 8-byte dedup ids of the signals in ``body``.
    """

    __tablename__ = "intake"
    __table_args__ = (
        Index("ix_intake_tenant_tx_seq", "tenant", "tx", "seq"),
        Index("ix_intake_received_at", "received_at"),
        {"sqlite_autoincrement": True},
    )
    seq: int | None = Field(default=None, sa_column=Column(BIG, primary_key=True))
    tx: int = Field(default=0, sa_column=Column(BigInteger(), nullable=False, server_default="0"))
    tenant: str
    kind: str
    source: str
    intake_id: str
    received_at: datetime = Field(sa_column=instant())
    count: int
    codec: str
    ids: bytes = Field(sa_column=Column(LargeBinary(), nullable=False))
    body: bytes = Field(sa_column=Column(LargeBinary(), nullable=False))


class FoldStateRow(SQLModel, table=True):
    """The engine's state of one tenant and its checkpoint in the intake log.

    ``revision`` is compared and swapped by every fold step, so decisions are serial per tenant.
    ``sequence`` is the tenant's last event sequence, ``number`` its last incident number.
    """

    __tablename__ = "fold_state"
    tenant: str = Field(primary_key=True)
    revision: int
    tx: int = Field(sa_column=Column(BigInteger(), nullable=False))
    seq: int = Field(sa_column=Column(BigInteger(), nullable=False))
    sequence: int
    number: int
    policy: str
    folded_at: datetime = Field(sa_column=instant())
    body: bytes = Field(sa_column=Column(LargeBinary(), nullable=False))


LIVING = "status NOT IN ('closed', 'merged')"  # incidents that may still change


class IncidentRow(SQLModel, table=True):
    """One incident: columns to filter by, and its whole state. Lists are ``,a,b,``."""

    __tablename__ = "incidents"
    __table_args__ = (
        Index("ix_incidents_list", "tenant", "opened_at", "id"),
        Index("ix_incidents_open", "tenant", "is_open"),
        partial_index("ix_incidents_living", "tenant", "opened_at", "id", where=LIVING),
    )
    tenant: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    number: str
    revision: int
    status: str
    is_open: bool
    severity: int
    services: str
    symptoms: str
    regions: str
    title: str
    opened_at: datetime = Field(sa_column=instant())
    updated_at: datetime = Field(sa_column=instant())
    closed_at: datetime | None = Field(default=None, sa_column=instant(nullable=True))
    merged_into: str | None = None
    state: bytes = Field(sa_column=Column(LargeBinary(), nullable=False))


class EvidenceRow(SQLModel, table=True):
    """The evidence document of one incident (cells with series and exemplars), as JSON bytes."""

    __tablename__ = "evidence"
    tenant: str = Field(primary_key=True)
    incident: str = Field(primary_key=True)
    body: bytes = Field(sa_column=Column(LargeBinary(), nullable=False))


class EventRow(SQLModel, table=True):
    """The event log; ``body`` is the frozen native v1 document."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_incident", "tenant", "incident", "sequence"),)
    tenant: str = Field(primary_key=True)
    sequence: int = Field(sa_column=Column(BigInteger(), primary_key=True, autoincrement=False))
    id: str = Field(index=True, unique=True)
    type: str
    incident: str | None = None
    occurred_at: datetime = Field(sa_column=instant(index=True))
    body: bytes = Field(sa_column=Column(LargeBinary(), nullable=False))


class SubscriptionRow(SQLModel, table=True):
    """A standing wish: filter and address. ``filter`` and ``event_types`` are JSON.

    ``told_state`` is the standing that an event told last, none: active. Until ``open_until`` the
    breaker lets nothing but a ping through.
    """

    __tablename__ = "subscriptions"
    id: str = Field(primary_key=True)
    tenant: str = Field(index=True)
    revision: int
    url: str
    event_types: str
    filter: str
    format: str
    detail: str
    signing: str
    description: str
    state: str
    secret: str
    secret_previous: str | None = None
    previous_until: datetime | None = Field(default=None, sa_column=instant(nullable=True))
    created_by: str
    created_at: datetime = Field(sa_column=instant())
    updated_at: datetime = Field(sa_column=instant())
    verified_at: datetime | None = Field(default=None, sa_column=instant(nullable=True))
    failing_since: datetime | None = Field(default=None, sa_column=instant(nullable=True))
    consecutive_failures: int = 0
    state_reason: str | None = None
    told_state: str | None = None
    open_until: datetime | None = Field(default=None, sa_column=instant(nullable=True))
    deleted_at: datetime | None = Field(default=None, sa_column=instant(nullable=True))


class DeliveryRow(SQLModel, table=True):
    """One event for one subscription. ``state`` is pending, delivered or parked.

    ``lane`` is what keeps order: the incident's id, or the event's where it has none. ``position``
    is the event's sequence. ``superseded`` is a JSON list of event ids that this one stands for.
    ``body`` is set only for a delivery whose event is not in the log (``test.ping``).
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        partial_index("ix_deliveries_next", "subscription", "due_at", where="state = 'pending'"),
        partial_index(
            "ix_deliveries_lane", "subscription", "lane", "position", where="state = 'pending'"
        ),
        Index("ix_deliveries_list", "tenant", "created_at", "id"),
        Index("ix_deliveries_event", "subscription", "event"),
        partial_index(
            "ix_deliveries_ping",
            "subscription",
            where="state = 'pending' AND event_type = 'test.ping'",
        ),
        partial_index("ix_deliveries_replay", "replay", "state", where="replay IS NOT NULL"),
    )
    id: str = Field(primary_key=True)
    tenant: str
    subscription: str
    event: str
    event_type: str
    incident: str | None = None
    lane: str
    position: int = Field(sa_column=Column(BigInteger(), nullable=False))
    state: str
    reason: str
    attempts: int = 0
    created_at: datetime = Field(sa_column=instant())
    due_at: datetime = Field(sa_column=instant())
    done_at: datetime | None = Field(default=None, sa_column=instant(nullable=True))
    lease_token: str | None = None
    lease_until: datetime | None = Field(default=None, sa_column=instant(nullable=True))
    superseded: str = "[]"
    superseded_by: str | None = None
    replay: str | None = None
    body: bytes | None = Field(default=None, sa_column=Column(LargeBinary(), nullable=True))


class AttemptRow(SQLModel, table=True):
    """One try of a delivery, with what it met. ``phases`` and ``headers`` are JSON."""

    __tablename__ = "attempts"
    __table_args__ = ({"sqlite_autoincrement": True},)
    id: int | None = Field(default=None, sa_column=Column(BIG, primary_key=True))
    delivery: str = Field(index=True)
    at: datetime = Field(sa_column=instant())
    status: int | None = None
    outcome: str
    duration_ms: float
    excerpt: str
    phases: str | None = Field(default=None, sa_column=Column(Text(), nullable=True))
    headers: str | None = Field(default=None, sa_column=Column(Text(), nullable=True))


class ReplayRow(SQLModel, table=True):
    """A window that is sent again, and how far it has come: ``position`` is an event's sequence."""

    __tablename__ = "replays"
    __table_args__ = (
        Index("ix_replays_subscription", "subscription", "id"),
        partial_index("ix_replays_open", "next_at", where="finished_at IS NULL"),
    )
    id: str = Field(primary_key=True)
    tenant: str
    subscription: str
    chosen: str
    since: datetime = Field(sa_column=instant())
    until: datetime = Field(sa_column=instant())
    state: str
    position: int = Field(sa_column=Column(BigInteger(), nullable=False))
    planned: int
    next_at: datetime = Field(sa_column=instant())
    created_by: str
    created_at: datetime = Field(sa_column=instant())
    finished_at: datetime | None = Field(default=None, sa_column=instant(nullable=True))


class AdvisoryRow(SQLModel, table=True):
    """The newest revision of one advisory, its normalized state and the vendor's own JSON."""

    __tablename__ = "advisories"
    __table_args__ = (
        Index("ix_advisories_vendor", "id", "tenant", "is_resolved", "last_modified_at"),
    )
    tenant: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    revision: int
    service: str
    is_resolved: bool
    withdrawn: bool
    last_modified_at: datetime = Field(sa_column=instant())
    incidents: str = "[]"
    state: bytes = Field(sa_column=Column(LargeBinary(), nullable=False))
    raw: bytes | None = Field(default=None, sa_column=Column(LargeBinary(), nullable=True))


class SourceRow(SQLModel, table=True):
    """How a source stands: freshness, last error, position. JSON in ``last_error, checkpoint``."""

    __tablename__ = "sources"
    tenant: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    kind: str
    name: str
    interval_seconds: float
    stale_announced: bool = False
    first_read_at: datetime | None = Field(default=None, sa_column=instant(nullable=True))
    last_complete_at: datetime | None = Field(default=None, sa_column=instant(nullable=True))
    last_error: str | None = None
    checkpoint: str | None = None
    unreadable: int = 0
    budget: str | None = None


class ProbeRow(SQLModel, table=True):
    """The newest result of one check at one location, as JSON, and when it was expected."""

    __tablename__ = "probes"
    tenant: str = Field(primary_key=True)
    probe: str = Field(primary_key=True)
    location: str = Field(primary_key=True)
    service: str
    occurred_at: datetime = Field(sa_column=instant())
    body: str


class StandingRow(SQLModel, table=True):
    """The newest word of a monitor that speaks on change: a probe result, and until when."""

    __tablename__ = "standing"
    tenant: str = Field(primary_key=True)
    source: str = Field(primary_key=True)
    probe: str = Field(primary_key=True)
    location: str = Field(primary_key=True)
    said_at: datetime = Field(sa_column=instant())
    until: datetime = Field(sa_column=instant())
    body: bytes = Field(sa_column=Column(LargeBinary(), nullable=False))


class UnmappedRow(SQLModel, table=True):
    """A code that no table knows, how often it was met, and one scrubbed text beside it."""

    __tablename__ = "unmapped_codes"
    tenant: str = Field(primary_key=True)
    code: str = Field(primary_key=True)
    client: str = Field(primary_key=True)
    service: str
    count: int
    first_at: datetime = Field(sa_column=instant())
    last_at: datetime = Field(sa_column=instant(index=True))
    sample: str | None = None


class MaintenanceWindowRow(SQLModel, table=True):
    """Planned work; ``services``, ``probes``, ``locations`` are JSON lists, empty for all."""

    __tablename__ = "maintenance_windows"
    id: str = Field(primary_key=True)
    tenant: str = Field(index=True)
    title: str
    starts_at: datetime = Field(sa_column=instant())
    ends_at: datetime = Field(sa_column=instant(index=True))
    services: str
    probes: str
    locations: str
    created_by: str
    created_at: datetime = Field(sa_column=instant())
    revision: int


class LeaseRow(SQLModel, table=True):
    """A time-limited claim on recurring work; ``token`` fences off a former owner."""

    __tablename__ = "leases"
    name: str = Field(primary_key=True)
    owner: str
    token: int
    until: datetime = Field(sa_column=instant())


class SpendingRow(SQLModel, table=True):
    """Requests counted against one share: JSON pairs of slot and count, oldest first."""

    __tablename__ = "spending"
    name: str = Field(primary_key=True)
    counted: str


class IdempotencyRow(SQLModel, table=True):
    """What was answered to an Idempotency-Key."""

    __tablename__ = "idempotency"
    tenant: str = Field(primary_key=True)
    principal: str = Field(primary_key=True)
    route: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    fingerprint: str
    status: int
    body: bytes = Field(sa_column=Column(LargeBinary(), nullable=False))
    created_at: datetime = Field(sa_column=instant(index=True))
