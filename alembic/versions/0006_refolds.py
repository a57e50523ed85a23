"""The journal of the fold, places to begin again, and replays.

Revision: 0006_refolds
Follows: 0005_vendor_events
"""

import sqlalchemy as sa
from alembic import op

revision = "0006_refolds"
down_revision = "0005_vendor_events"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add three tables; the release before does not look at them."""
    op.create_table(
        "fold_steps",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("folded_at", INSTANT, nullable=False),
        sa.Column("tx", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("command", sa.BigInteger(), nullable=True),
        sa.Column("waiting_since", INSTANT, nullable=True),
        sa.Column("policy", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "revision"),
    )
    op.create_index("ix_fold_steps_folded_at", "fold_steps", ["tenant", "folded_at"])
    op.create_table(
        "fold_marks",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("taken_at", INSTANT, nullable=False),
        sa.Column("tx", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "revision"),
    )
    op.create_table(
        "refolds",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("until", INSTANT, nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease_token", sa.String(), nullable=True),
        sa.Column("lease_until", INSTANT, nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_refolds_list", "refolds", ["tenant", "created_at", "id"])
    op.create_index("ix_refolds_state", "refolds", ["state"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("refolds")
    op.drop_table("fold_marks")
    op.drop_table("fold_steps")
