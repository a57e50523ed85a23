"""The audit log; keys with grants and a client.

Revision: 0008_audit
Follows: 0007_key_bounds
"""

import sqlalchemy as sa
from alembic import op

revision = "0008_audit"
down_revision = "0007_key_bounds"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
ADDED = ("grants", "client")


def upgrade() -> None:
    """Add a table and two columns with defaults, which the release before does not look at."""
    op.create_table(
        "audit",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor_kind", sa.String(), nullable=False),
        sa.Column("actor_id", sa.String(), nullable=False),
        sa.Column("actor_name", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=True),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_audit_list", "audit", ["tenant", "id"])
    op.create_index("ix_audit_target", "audit", ["tenant", "target", "id"])
    nothing = sa.text("''")
    for name in ADDED:
        op.add_column("api_keys", sa.Column(name, sa.Text(), nullable=False, server_default=nothing))
    op.create_index("ix_api_keys_client", "api_keys", ["client"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_api_keys_client", "api_keys")
    for name in reversed(ADDED):
        op.drop_column("api_keys", name)
    op.drop_table("audit")
