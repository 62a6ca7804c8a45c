"""Groups, phases, approvals.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def cast(text: str) -> str:
    """SQLite keeps JSON as text; PostgreSQL wants to be told."""
    return f"({text})::json" if op.get_bind().dialect.name == "postgresql" else text


def upgrade() -> None:
    op.create_table(
        "groups",
        sa.Column("product_id", ROW_ID, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("rule", sa.String(length=1024), nullable=True),
        sa.Column("test", sa.Boolean(), nullable=False),
        sa.Column("poll_interval", sa.BigInteger(), nullable=True),
        sa.Column("filling", sa.Boolean(), nullable=False),
        sa.Column("tenant_id", ROW_ID, nullable=False),
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["product_id"], ["products.id"], name=op.f("fk_groups_product_id")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_groups_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_groups")),
        sa.UniqueConstraint("product_id", "name", name=op.f("uq_groups_product_id_name")),
    )
    op.create_table(
        "members",
        sa.Column("group_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("device_id", ROW_ID, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_members_device_id")),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name=op.f("fk_members_group_id")),
        sa.PrimaryKeyConstraint("group_id", "device_id", name=op.f("pk_members")),
    )
    with op.batch_alter_table("members", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_members_device_id"), ["device_id"], unique=False)

    with op.batch_alter_table("devices", schema=None) as batch_op:
        batch_op.add_column(sa.Column("group_id", ROW_ID, nullable=True))
        batch_op.add_column(sa.Column("group_name", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("tags", sa.JSON(), server_default="[]", nullable=False))
        batch_op.add_column(sa.Column("poll_interval", sa.BigInteger(), nullable=True))
        batch_op.create_foreign_key(batch_op.f("fk_devices_group_id"), "groups", ["group_id"], ["id"])

    with op.batch_alter_table("products", schema=None) as batch_op:
        batch_op.add_column(sa.Column("approvals", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(
            sa.Column("verify_first", sa.Boolean(), server_default=sa.false(), nullable=False)
        )

    with op.batch_alter_table("releases", schema=None) as batch_op:
        batch_op.add_column(sa.Column("verified_at", sa.BigInteger(), nullable=True))

    with op.batch_alter_table("rollouts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("group_id", ROW_ID, nullable=True))
        batch_op.add_column(sa.Column("devices", sa.JSON(), server_default="[]", nullable=False))
        batch_op.add_column(sa.Column("phases", sa.JSON(), server_default="[]", nullable=False))
        batch_op.add_column(sa.Column("per_minute", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("start_at", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("window", sa.JSON(), server_default="[]", nullable=False))
        batch_op.add_column(sa.Column("stop_at_percent", sa.Double(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("created_by", sa.String(length=80), server_default="", nullable=False))
        batch_op.add_column(sa.Column("approved_by", sa.JSON(), server_default="[]", nullable=False))
        batch_op.add_column(sa.Column("total", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("phase", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("reached_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("started_at", sa.BigInteger(), nullable=True))
        batch_op.create_foreign_key(batch_op.f("fk_rollouts_group_id"), "groups", ["group_id"], ["id"])
    # A canary becomes what it always was: a first phase of so many boards.
    phase = """'[{"count": ' || canary || ', "percent": 0, "success": 100, "soak": 0}]'"""
    op.execute(f"UPDATE rollouts SET phases = {cast(phase)} WHERE canary > 0")  # noqa: S608
    op.execute("UPDATE rollouts SET started_at = created_at")
    total = "SELECT count(*) FROM targets WHERE targets.rollout_id = rollouts.id"
    op.execute(f"UPDATE rollouts SET total = ({total})")  # noqa: S608
    with op.batch_alter_table("rollouts", schema=None) as batch_op:
        batch_op.drop_column("canary")

    with op.batch_alter_table("targets", schema=None) as batch_op:
        batch_op.add_column(sa.Column("rank", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("offered_at", sa.BigInteger(), server_default="0", nullable=False))
        index = batch_op.f("ix_targets_rollout_id_offered_at")
        batch_op.create_index(index, ["rollout_id", "offered_at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("targets", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_targets_rollout_id_offered_at"))
        batch_op.drop_column("offered_at")
        batch_op.drop_column("rank")

    with op.batch_alter_table("rollouts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("canary", sa.BIGINT(), server_default="1", nullable=False))
        batch_op.drop_constraint(batch_op.f("fk_rollouts_group_id"), type_="foreignkey")
        batch_op.drop_column("started_at")
        batch_op.drop_column("reached_at")
        batch_op.drop_column("phase")
        batch_op.drop_column("total")
        batch_op.drop_column("approved_by")
        batch_op.drop_column("created_by")
        batch_op.drop_column("stop_at_percent")
        batch_op.drop_column("window")
        batch_op.drop_column("start_at")
        batch_op.drop_column("per_minute")
        batch_op.drop_column("phases")
        batch_op.drop_column("devices")
        batch_op.drop_column("group_id")

    with op.batch_alter_table("releases", schema=None) as batch_op:
        batch_op.drop_column("verified_at")

    with op.batch_alter_table("products", schema=None) as batch_op:
        batch_op.drop_column("verify_first")
        batch_op.drop_column("approvals")

    with op.batch_alter_table("devices", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_devices_group_id"), type_="foreignkey")
        batch_op.drop_column("poll_interval")
        batch_op.drop_column("tags")
        batch_op.drop_column("group_name")
        batch_op.drop_column("group_id")

    with op.batch_alter_table("members", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_members_device_id"))

    op.drop_table("members")
    op.drop_table("groups")
