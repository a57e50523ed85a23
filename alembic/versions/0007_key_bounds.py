"""What an API key may say at most.

Revision: 0007_key_bounds
Follows: 0006_refolds
"""

import sqlalchemy as sa
from alembic import op

revision = "0007_key_bounds"
down_revision = "0006_refolds"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column; the release before does not look at it."""
    op.add_column("api_keys", sa.Column("bounds", sa.Text(), nullable=True))


def downgrade() -> None:
    """Drop it; keys then have no bounds."""
    op.drop_column("api_keys", "bounds")
