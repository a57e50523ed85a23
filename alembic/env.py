"""How Alembic reaches the database: by the connection it is handed, else by the environment."""

import os

from sqlalchemy import Connection
from sqlmodel import SQLModel

import app.store.tables  # noqa: F401 - the tables register themselves with the metadata
from alembic import context
from app.store.engine import Database
from app.store.migrate import VERSION_TABLE

LOCK_TIMEOUT = "5s"  # a migration that waits longer for a table's lock gives way to the traffic


def run(connection: Connection) -> None:
    """Run the migrations in the transaction of ``connection``."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        version_table=VERSION_TABLE,
        compare_type=True,
        compare_server_default=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    database = Database(os.environ.get("SEXTANT_DATABASE__URL", "sqlite:///sextant.db"))
    with database.engine.begin() as opened:
        run(opened)
    database.close()
