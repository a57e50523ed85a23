"""Since when a channel or mirror fails, and why.

Revision: 0013_trouble
Follows: 0012_spending
"""

import sqlalchemy as sa

from alembic import op

revision = "0013_trouble"
down_revision = "0012_spending"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two columns; the release before does not look at them."""
    op.add_column("mirrors", sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("mirrors", sa.Column("trouble", sa.String(), nullable=True))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("mirrors", "trouble")
    op.drop_column("mirrors", "failing_since")
