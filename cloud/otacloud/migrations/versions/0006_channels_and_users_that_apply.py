"""Channels of releases; rollouts that wait for the board's user.

Revision ID: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    with op.batch_alter_table("releases", schema=None) as batch_op:
        column = sa.Column("channel", sa.String(length=32), server_default="stable", nullable=False)
        batch_op.add_column(column)
    with op.batch_alter_table("rollouts", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("user_applies", sa.Boolean(), server_default=sa.false(), nullable=False)
        )


def downgrade() -> None:
    with op.batch_alter_table("rollouts", schema=None) as batch_op:
        batch_op.drop_column("user_applies")
    with op.batch_alter_table("releases", schema=None) as batch_op:
        batch_op.drop_column("channel")
