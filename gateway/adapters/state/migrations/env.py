"""Run by Alembic; the connection, inside its transaction, comes from gateway.adapters.state.engine."""

from alembic import context

from gateway.adapters.state.tables import meta

# All or nothing: the caller's transaction holds every step, on SQLite too.
context.configure(
    connection=context.config.attributes["connection"], target_metadata=meta, transactional_ddl=True
)
with context.begin_transaction():
    context.run_migrations()
