"""The table of the audit log."""

from datetime import datetime

from sqlalchemy import Column, Index, Text
from sqlmodel import Field, SQLModel

from app.store.columns import instant


class AuditRow(SQLModel, table=True):
    """One write that somebody asked for. ``before`` and ``after`` are JSON, none for nothing."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_list", "tenant", "id"),
        Index("ix_audit_target", "tenant", "target", "id"),
    )
    id: str = Field(primary_key=True)
    tenant: str
    at: datetime = Field(sa_column=instant(index=True))
    actor_kind: str
    actor_id: str
    actor_name: str
    action: str
    target: str
    request_id: str | None = None
    before: str | None = Field(default=None, sa_column=Column(Text(), nullable=True))
    after: str | None = Field(default=None, sa_column=Column(Text(), nullable=True))
