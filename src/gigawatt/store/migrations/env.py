"""Runs migrations inside the transaction of the connection that ``store.migration`` hands over."""

from alembic import context

from gigawatt.store import schema

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.metadata,
    render_as_batch=True,
)
context.run_migrations()
