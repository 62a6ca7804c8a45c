"""An index of a rollout's places in their order: who is told next.

Revision ID: 0010
Revises: 0009
"""

from alembic import op

revision = "0010"
down_revision = "0009"

NAME = "ix_targets_rollout_id_rank"


def upgrade() -> None:
    op.create_index(NAME, "targets", ["rollout_id", "rank"])


def downgrade() -> None:
    op.drop_index(NAME, "targets")
