"""The tables of the fold's journal and of replays; registered with the others by ``tables``."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Text
from sqlmodel import Field, SQLModel

from app.store.columns import instant


class FoldStepRow(SQLModel, table=True):
    """One stored step of the fold: when it ran and how far in the intake log it went.

    ``command`` is the ``seq`` of the intake row of a command that was folded by itself,
    ``waiting_since`` when the oldest record arrived that the step met.
    """

    __tablename__ = "fold_steps"
    __table_args__ = (Index("ix_fold_steps_folded_at", "tenant", "folded_at"),)
    tenant: str = Field(primary_key=True)
    revision: int = Field(primary_key=True)
    folded_at: datetime = Field(sa_column=instant())
    tx: int = Field(sa_column=Column(BigInteger(), nullable=False))
    seq: int = Field(sa_column=Column(BigInteger(), nullable=False))
    command: int | None = Field(default=None, sa_column=Column(BigInteger(), nullable=True))
    waiting_since: datetime | None = Field(default=None, sa_column=instant(nullable=True))
    policy: str


class FoldMarkRow(SQLModel, table=True):
    """Everything that the fold of a tenant carried before the step after ``revision``."""

    __tablename__ = "fold_marks"
    tenant: str = Field(primary_key=True)
    revision: int = Field(primary_key=True)
    taken_at: datetime = Field(sa_column=instant())
    tx: int = Field(sa_column=Column(BigInteger(), nullable=False))
    seq: int = Field(sa_column=Column(BigInteger(), nullable=False))
    body: bytes = Field(sa_column=Column(LargeBinary(), nullable=False))


class RefoldRow(SQLModel, table=True):
    """A replay that was asked for: its wish, how far it is, and what came of it (JSON)."""

    __tablename__ = "refolds"
    __table_args__ = (
        Index("ix_refolds_list", "tenant", "created_at", "id"),
        Index("ix_refolds_state", "state"),
    )
    id: str = Field(primary_key=True)
    tenant: str
    state: str
    since: datetime = Field(sa_column=instant())
    until: datetime = Field(sa_column=instant())
    policy: str = Field(sa_column=Column(Text(), nullable=False))
    created_by: str
    created_at: datetime = Field(sa_column=instant())
    finished_at: datetime | None = Field(default=None, sa_column=instant(nullable=True))
    progress: float
    attempts: int
    lease_token: str | None = None
    lease_until: datetime | None = Field(default=None, sa_column=instant(nullable=True))
    result: str | None = Field(default=None, sa_column=Column(Text(), nullable=True))
    error: str | None = Field(default=None, sa_column=Column(Text(), nullable=True))
