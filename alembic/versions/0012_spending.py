"""Requests counted against a share that tenants and replicas use together.

Revision: 0012_spending
Follows: 0011_living
"""

import sqlalchemy as sa

from alembic import op

revision = "0012_spending"
down_revision = "0011_living"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table; the release before does not look at it."""
    op.create_table(
        "spending",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("counted", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("spending")
