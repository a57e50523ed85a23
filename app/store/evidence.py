"""The evidence document of each incident, as JSON bytes."""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select

from app.core.types import TenantId
from app.store.tables import EvidenceRow

T = EvidenceRow.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time


def put(c: Connection, tenant: TenantId, documents: Mapping[str, dict[str, Any]]) -> None:
    """Store evidence documents in place of the former ones."""
    for incident, document in documents.items():
        c.execute(delete(T).where(T.c.tenant == tenant, T.c.incident == incident))
        body = msgspec.json.encode(document)
        c.execute(insert(T).values(tenant=tenant, incident=incident, body=body))


def get(c: Connection, tenant: TenantId, incident: str) -> bytes | None:
    """The evidence of one incident as JSON, or None where there is none."""
    query = select(T.c.body).where(T.c.tenant == tenant, T.c.incident == incident)
    body: bytes | None = c.execute(query).scalar_one_or_none()
    return body
