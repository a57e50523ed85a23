"""An index by which one advisory is found in all tenants.

Revision: 0005_vendor_events
Follows: 0004_maintenance
"""

from alembic import op

revision = "0005_vendor_events"
down_revision = "0004_maintenance"
branch_labels = None
depends_on = None

COLUMNS = ["id", "tenant", "is_resolved", "last_modified_at"]


def upgrade() -> None:
    """Add the index; it covers the list, so that no advisory is read to find the newest."""
    op.create_index("ix_advisories_vendor", "advisories", COLUMNS)


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_advisories_vendor", "advisories")
