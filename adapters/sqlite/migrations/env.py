"""Alembic's way in: run by `adapters.sqlite.schema`, on its connection and inside its transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
