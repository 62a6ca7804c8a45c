"""API tokens may be narrower than their role.

Revision ID: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("api_tokens", sa.Column("scopes", sa.JSON(), server_default="[]", nullable=False))


def downgrade() -> None:
    op.drop_column("api_tokens", "scopes")
