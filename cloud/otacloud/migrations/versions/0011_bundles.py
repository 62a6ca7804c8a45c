"""Releases may have a bundle of the application's files.

Revision ID: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    with op.batch_alter_table("releases", schema=None) as batch_op:
        name = sa.Column("bundle_sha256", sa.String(length=64), server_default="", nullable=False)
        batch_op.add_column(name)
        batch_op.add_column(sa.Column("bundle_size", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("releases", schema=None) as batch_op:
        batch_op.drop_column("bundle_size")
        batch_op.drop_column("bundle_sha256")
