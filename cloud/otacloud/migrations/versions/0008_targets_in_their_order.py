"""An index of a rollout's places in their order: who is told next.

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"

NAME = "ix_targets_rollout_id_rank"


def upgrade() -> None:
    op.create_index(NAME, "targets", ["rollout_id", "rank"])


def downgrade() -> None:
    op.drop_index(NAME, "targets")
