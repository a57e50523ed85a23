"""Replays as jobs, breakers of subscriptions, and what an attempt sent and how long it took.

Revision: 0003_delivery_jobs
Follows: 0002_doors
"""

import sqlalchemy as sa
from alembic import op

revision = "0003_delivery_jobs"
down_revision = "0002_doors"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
PENDING = sa.text("state = 'pending'")
PINGS = sa.text("state = 'pending' AND event_type = 'test.ping'")
REPLAYED = sa.text("replay IS NOT NULL")


def upgrade() -> None:
    """Add columns that may be null, so that the release before runs on them."""
    op.add_column("subscriptions", sa.Column("state_reason", sa.String(), nullable=True))
    op.add_column("subscriptions", sa.Column("told_state", sa.String(), nullable=True))
    op.add_column("subscriptions", sa.Column("open_until", INSTANT, nullable=True))
    op.add_column("attempts", sa.Column("phases", sa.Text(), nullable=True))
    op.add_column("attempts", sa.Column("headers", sa.Text(), nullable=True))
    op.create_index(
        "ix_deliveries_next",
        "deliveries",
        ["subscription", "due_at"],
        sqlite_where=PENDING,
        postgresql_where=PENDING,
    )
    op.create_index(
        "ix_deliveries_replay",
        "deliveries",
        ["replay", "state"],
        sqlite_where=REPLAYED,
        postgresql_where=REPLAYED,
    )
    op.create_index(
        "ix_deliveries_ping",
        "deliveries",
        ["subscription"],
        sqlite_where=PINGS,
        postgresql_where=PINGS,
    )
    op.drop_index("ix_deliveries_due", table_name="deliveries")
    _replays()


def _replays() -> None:
    op.create_table(
        "replays",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("subscription", sa.String(), nullable=False),
        sa.Column("chosen", sa.String(), nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("until", INSTANT, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("planned", sa.Integer(), nullable=False),
        sa.Column("next_at", INSTANT, nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_replays_subscription", "replays", ["subscription", "id"])
    op.create_index(
        "ix_replays_open",
        "replays",
        ["next_at"],
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    )


def downgrade() -> None:
    """Drop what was added."""
    op.drop_table("replays")
    op.create_index(
        "ix_deliveries_due",
        "deliveries",
        ["due_at"],
        sqlite_where=PENDING,
        postgresql_where=PENDING,
    )
    for name in ("ix_deliveries_next", "ix_deliveries_ping", "ix_deliveries_replay"):
        op.drop_index(name, table_name="deliveries")
    for table, column in (
        ("attempts", "headers"),
        ("attempts", "phases"),
        ("subscriptions", "open_until"),
        ("subscriptions", "told_state"),
        ("subscriptions", "state_reason"),
    ):
        op.drop_column(table, column)
