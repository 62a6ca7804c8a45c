"""Alembic's entry: runs on the connection that `otacloud.db` hands over."""

from alembic import context
from otacloud.models import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
