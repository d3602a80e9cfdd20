"""Alembic's environment: online only, on the connection that the caller holds.

The caller owns the transaction, the lock and the login, so this never sees an address or a password.
"""

from alembic import context

connection = context.config.attributes.get("connection")
if connection is None:
    raise RuntimeError("migrations run on a connection handed over by handlers.migrate; there is no other way")

# Alembic's own default belongs to BlueMoxon's backend, which keeps revisions of its own in the same database.
version_table = context.config.attributes["version_table"]
context.configure(connection=connection, target_metadata=None, version_table=version_table)
with context.begin_transaction():
    context.run_migrations()
