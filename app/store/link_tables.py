"""The tables of mirrors: where each stands in the event log, its links, hints it has had."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Text
from sqlmodel import Field, SQLModel

from app.store.columns import instant


class MirrorRow(SQLModel, table=True):
    """How far a mirror has come: in the event log, and in what changed at the other side."""

    __tablename__ = "mirrors"
    name: str = Field(primary_key=True)
    tenant: str
    position: int = Field(sa_column=Column(BigInteger(), nullable=False))
    cursor: str
    poll_at: datetime = Field(sa_column=instant())
    polled_at: datetime | None = Field(default=None, sa_column=instant(nullable=True))
    lease_token: str | None = None
    lease_until: datetime | None = Field(default=None, sa_column=instant(nullable=True))
    failing_since: datetime | None = Field(default=None, sa_column=instant(nullable=True))
    trouble: str | None = None


class LinkRow(SQLModel, table=True):
    """One generation of a ticket for one incident; ``memory`` is msgpack."""

    __tablename__ = "links"
    __table_args__ = (
        Index("ux_links_subject", "mirror", "subject", "generation", unique=True),
        Index("ix_links_due", "mirror", "due_at"),
        Index("ix_links_remote", "mirror", "remote_id"),
        Index("ix_links_incident", "tenant", "incident"),
        Index("ix_links_asked", "mirror", "asked_at"),
    )
    id: str = Field(primary_key=True)
    tenant: str
    mirror: str
    system: str
    subject: str
    incident: str | None = None
    generation: int
    state: str
    explanation: str = Field(sa_column=Column(Text(), nullable=False))
    correlation: str
    number: str | None = None
    remote_id: str | None = None
    url: str | None = None
    remote_state: str | None = None
    created_at: datetime = Field(sa_column=instant())
    due_at: datetime = Field(sa_column=instant())
    asked_at: datetime | None = Field(default=None, sa_column=instant(nullable=True))
    last_synced_at: datetime | None = Field(default=None, sa_column=instant(nullable=True))
    lease_token: str | None = None
    lease_until: datetime | None = Field(default=None, sa_column=instant(nullable=True))
    memory: bytes = Field(sa_column=Column(LargeBinary(), nullable=False))


class MirrorHintRow(SQLModel, table=True):
    """A hint that was taken, so that its repetition is not."""

    __tablename__ = "mirror_hints"
    mirror: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    received_at: datetime = Field(sa_column=instant(index=True))
