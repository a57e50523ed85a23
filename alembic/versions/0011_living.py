"""An index of the incidents that may still change, so that ended ones cost the board nothing.

Revision: 0011_living
Follows: 0010_walls
"""

import sqlalchemy as sa

from alembic import op

revision = "0011_living"
down_revision = "0010_walls"
branch_labels = None
depends_on = None

LIVING = sa.text("status NOT IN ('closed', 'merged')")


def upgrade() -> None:
    """Add the index."""
    op.create_index(
        "ix_incidents_living",
        "incidents",
        ["tenant", "opened_at", "id"],
        sqlite_where=LIVING,
        postgresql_where=LIVING,
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_incidents_living", "incidents")
