"""What alembic runs: every migration that is due, in the transaction of who asked for them."""

from alembic import context

from tasks.catalog.schema import VERSION_TABLE
from tasks.catalog.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
context.run_migrations()
