"""Maintenance windows.

Revision: 0004_maintenance
Follows: 0003_delivery_jobs
"""

import sqlalchemy as sa
from alembic import op

revision = "0004_maintenance"
down_revision = "0003_delivery_jobs"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add one table; the release before does not look at it."""
    op.create_table(
        "maintenance_windows",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("services", sa.String(), nullable=False),
        sa.Column("probes", sa.String(), nullable=False),
        sa.Column("locations", sa.String(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_maintenance_windows_tenant", "maintenance_windows", ["tenant"])
    op.create_index("ix_maintenance_windows_ends_at", "maintenance_windows", ["ends_at"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("maintenance_windows")
