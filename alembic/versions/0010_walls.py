"""Walls between tenants: row-level security on PostgreSQL.

Revision: 0010_walls
Follows: 0009_links

A session sees the rows of the tenants in the setting ``sextant.tenants`` (ids by commas, ``*`` for
all), and none without it. It holds for the owner of the tables too; superusers and roles with
BYPASSRLS pass through it.
"""

from alembic import op

revision = "0010_walls"
down_revision = "0009_links"
branch_labels = None
depends_on = None

TABLES = (
    "advisories", "api_keys", "audit", "deliveries", "events", "evidence", "fold_marks",
    "fold_state", "fold_steps", "idempotency", "incidents", "intake", "links",
    "maintenance_windows", "mirrors",
    "probes", "refolds", "replays", "sources", "standing", "subscriptions", "unmapped_codes",
)  # fmt: skip
# Selected, so that it is looked up once in a query and not for every row.
NAMED = "(SELECT current_setting('sextant.tenants', true))"
OWN = f"{NAMED} = '*' OR tenant = ANY (string_to_array({NAMED}, ','))"
OF_OWN = f"{NAMED} = '*' OR EXISTS (SELECT 1 FROM deliveries d WHERE d.id = delivery)"


def upgrade() -> None:
    """Put up the walls; SQLite has none."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in TABLES:
        _wall(table, OWN)
    _wall("attempts", OF_OWN)


def _wall(table: str, rule: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant_wall ON {table} USING ({rule})")


def downgrade() -> None:
    """Take them down."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in (*TABLES, "attempts"):
        op.execute(f"DROP POLICY tenant_wall ON {table}")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
