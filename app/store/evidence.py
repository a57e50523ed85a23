"""The evidence document of each incident, as JSON bytes."""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select

from app.core.types import TenantId
from app.store.tables import EvidenceRow

T = EvidenceRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time


def encode(document: Mapping[str, Any]) -> bytes:
    """Write one evidence document as JSON."""
    return msgspec.json.encode(document)


def put(c: Connection, tenant: TenantId, documents: Mapping[str, bytes]) -> None:
    """Store evidence documents in place of the former ones."""
    if not documents:
        return
    c.execute(delete(T).where(T.c.tenant == tenant, T.c.incident.in_(list(documents))))
    rows = [{"tenant": tenant, "incident": i, "body": body} for i, body in documents.items()]
    c.execute(insert(T), rows)


def get(c: Connection, tenant: TenantId, incident: str) -> bytes | None:
    """The evidence of one incident as JSON, or None where there is none."""
    query = select(T.c.body).where(T.c.tenant == tenant, T.c.incident == incident)
    body: bytes | None = c.execute(query).scalar_one_or_none()
    return body
