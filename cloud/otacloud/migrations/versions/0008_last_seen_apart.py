"""When a device was last seen has a table of its own: a poll must not write the wide row of the device.

Revision ID: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "seen",
        # INTEGER, so that on SQLite it is the row's own number and no index is needed.
        sa.Column(
            "device_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_seen_device_id")),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_seen")),
    )
    op.execute("INSERT INTO seen SELECT id, last_seen_at FROM devices WHERE last_seen_at IS NOT NULL")
    op.drop_column("devices", "last_seen_at")


def downgrade() -> None:
    op.add_column("devices", sa.Column("last_seen_at", sa.BigInteger(), nullable=True))
    op.execute("UPDATE devices SET last_seen_at = (SELECT at FROM seen WHERE device_id = devices.id)")
    op.drop_table("seen")
