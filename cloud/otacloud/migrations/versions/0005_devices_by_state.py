"""An index that holds all that counting a fleet needs.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"

NAME = "ix_devices_product_id_access_state_version_seq"


def upgrade() -> None:
    op.create_index(NAME, "devices", ["product_id", "access", "state", "version", "seq"])


def downgrade() -> None:
    op.drop_index(NAME, "devices")
