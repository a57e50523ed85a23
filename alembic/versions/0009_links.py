"""Mirrors, their links, and the hints that they had.

Revision: 0009_links
Follows: 0008_audit
"""

import sqlalchemy as sa
from alembic import op

revision = "0009_links"
down_revision = "0008_audit"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add three tables; the release before does not look at them."""
    op.create_table(
        "mirrors",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("cursor", sa.String(), nullable=False),
        sa.Column("poll_at", INSTANT, nullable=False),
        sa.Column("polled_at", INSTANT, nullable=True),
        sa.Column("lease_token", sa.String(), nullable=True),
        sa.Column("lease_until", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "links",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("mirror", sa.String(), nullable=False),
        sa.Column("system", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("incident", sa.String(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("correlation", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=True),
        sa.Column("remote_id", sa.String(), nullable=True),
        sa.Column("url", sa.String(), nullable=True),
        sa.Column("remote_state", sa.String(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("asked_at", INSTANT, nullable=True),
        sa.Column("last_synced_at", INSTANT, nullable=True),
        sa.Column("lease_token", sa.String(), nullable=True),
        sa.Column("lease_until", INSTANT, nullable=True),
        sa.Column("memory", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ux_links_subject", "links", ["mirror", "subject", "generation"], unique=True)
    op.create_index("ix_links_due", "links", ["mirror", "due_at"])
    op.create_index("ix_links_remote", "links", ["mirror", "remote_id"])
    op.create_index("ix_links_incident", "links", ["tenant", "incident"])
    op.create_index("ix_links_asked", "links", ["mirror", "asked_at"])
    op.create_table(
        "mirror_hints",
        sa.Column("mirror", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("mirror", "id"),
    )
    op.create_index("ix_mirror_hints_received_at", "mirror_hints", ["received_at"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("mirror_hints")
    op.drop_table("links")
    op.drop_table("mirrors")
