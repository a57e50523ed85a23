"""Words that stand until they are changed, and codes that no table knows.

Revision: 0002_doors
Follows: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002_doors"
down_revision = "0001"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add two tables; the release before does not look at them."""
    op.create_table(
        "standing",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("probe", sa.String(), nullable=False),
        sa.Column("location", sa.String(), nullable=False),
        sa.Column("said_at", INSTANT, nullable=False),
        sa.Column("until", INSTANT, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "source", "probe", "location"),
    )
    op.create_table(
        "unmapped_codes",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("client", sa.String(), nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first_at", INSTANT, nullable=False),
        sa.Column("last_at", INSTANT, nullable=False),
        sa.Column("sample", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "code", "client"),
    )
    op.create_index("ix_unmapped_codes_last_at", "unmapped_codes", ["last_at"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("unmapped_codes")
    op.drop_table("standing")
