"""What alembic runs: the steps, in one transaction, on the connection that serving.migrate hands over."""

from alembic import context

from lakehouse.faultpoints import reach

context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema="public",
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
    reach("in-migration")
