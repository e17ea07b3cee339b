"""What Alembic runs to apply the revisions in versions/: on the connection, and in the transaction, of our caller."""

from alembic import context


def run() -> None:
    context.configure(
        connection=context.config.attributes["connection"],
        version_table=context.config.attributes["version_table"],
    )
    with context.begin_transaction():
        context.run_migrations()


# Alembic executes this file under another name; as a module of the package it only defines.
if __name__ != "audio_compressor.catalog.migrations.env":
    run()
