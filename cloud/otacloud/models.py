"""The tables. Every row belongs to a tenant; times are UNIX seconds; hashes are lower-case hex."""

from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
    select,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column

from otacloud.schemas import ChannelKind, DeliveryState, Role

# SQLite numbers rows by itself only for INTEGER PRIMARY KEY.
RowId = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's way
        int: BigInteger(),
        dict[str, Any]: JSON(),
        list[int]: JSON(),
        list[str]: JSON(),
        list[dict[str, Any]]: JSON(),
    }


class Row(Base):
    __abstract__ = True
    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    created_at: Mapped[int]


class Tenant(Row):
    __tablename__ = "tenants"
    name: Mapped[str] = mapped_column(String(64), unique=True)


class TenantRow(Row):
    __abstract__ = True
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))


class ApiToken(TenantRow):
    """Only the SHA-256 is kept: a token is 32 random bytes, so no slow hash is needed."""

    __tablename__ = "api_tokens"
    name: Mapped[str] = mapped_column(String(64))
    role: Mapped[Role] = mapped_column(String(16))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    product_id: Mapped[int | None] = mapped_column(
        ForeignKey("products.id")
    )  # only for this one; None: for all
    scopes: Mapped[list[str]] = mapped_column(
        default=list, server_default="[]"
    )  # empty: all that its role may
    revoked_at: Mapped[int | None]


class User(TenantRow):
    """A person. `generation` grows with each change of the password: older sessions end."""

    __tablename__ = "users"
    name: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[Role] = mapped_column(String(16))
    password: Mapped[str] = mapped_column(String(128))  # argon2id
    generation: Mapped[int] = mapped_column(default=1)
    disabled_at: Mapped[int | None]


class AuditEntry(TenantRow):
    """Who did what. Rows are only added (triggers see to it), each with the hash of the one before."""

    __tablename__ = "audit_entries"
    __table_args__ = (UniqueConstraint("tenant_id", "number"),)
    number: Mapped[int]  # 1, 2, 3, ... in the tenant
    who: Mapped[str] = mapped_column(String(80))
    action: Mapped[str] = mapped_column(String(64))
    object: Mapped[str] = mapped_column(String(256))
    detail: Mapped[dict[str, Any]]
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))


class Product(TenantRow):
    """`pk` is unique on the whole server: a device says no more than pk and dn."""

    __tablename__ = "products"
    pk: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(128))
    board: Mapped[str | None] = mapped_column(String(64))
    registration: Mapped[str] = mapped_column(String(16))
    ps_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    next_seq: Mapped[int] = mapped_column(default=1)
    approvals: Mapped[int] = mapped_column(
        default=0, server_default="0"
    )  # people that must agree to a rollout
    silent_after: Mapped[int] = mapped_column(default=0, server_default="0")  # seconds; 0: no alarm
    verify_first: Mapped[bool] = mapped_column(default=False, server_default=false())


class KeySetRow(TenantRow):
    """A key set as its roots signed it, for the boards of a product (PACKAGE.md section 5)."""

    __tablename__ = "key_sets"
    __table_args__ = (UniqueConstraint("product_id", "version"),)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    version: Mapped[int]
    body: Mapped[bytes] = mapped_column(LargeBinary)


class SigningKey(TenantRow):
    """The newest key of a product that is not retired signs."""

    __tablename__ = "signing_keys"
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"), index=True)
    kid: Mapped[str] = mapped_column(String(16))
    public_key: Mapped[bytes] = mapped_column(LargeBinary(64))
    private_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    retired_at: Mapped[int | None]


class Group(TenantRow):
    """With a rule a dynamic group, without one a static group."""

    __tablename__ = "groups"
    __table_args__ = (UniqueConstraint("product_id", "name"),)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    name: Mapped[str] = mapped_column(String(64))
    rule: Mapped[str | None] = mapped_column(String(1024))
    test: Mapped[bool]  # its devices verify a release before others may have it
    poll_interval: Mapped[int | None]
    filling: Mapped[bool] = mapped_column(default=False)  # members are being looked for


class Member(Base):
    """A device in a group, static or dynamic."""

    __tablename__ = "members"
    group_id: Mapped[int] = mapped_column(ForeignKey("groups.id"), primary_key=True, autoincrement=False)
    device_id: Mapped[int] = mapped_column(
        ForeignKey("devices.id"), primary_key=True, autoincrement=False, index=True
    )


class Device(TenantRow):
    __tablename__ = "devices"
    __table_args__ = (
        UniqueConstraint("product_id", "dn"),
        Index(None, "product_id", "image_sha256"),
        Index(None, "product_id", "access", "state", "version", "seq"),  # all that counting a fleet needs
    )
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    dn: Mapped[str] = mapped_column(String(64))
    group_id: Mapped[int | None] = mapped_column(ForeignKey("groups.id"))  # its static group
    group_name: Mapped[str | None] = mapped_column(String(64))  # a group is never renamed
    tags: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    poll_interval: Mapped[int | None]  # the shortest that its groups ask for
    # log-in
    ds_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    origin: Mapped[str] = mapped_column(String(16))  # operator, dynamic
    access: Mapped[str] = mapped_column(String(16))  # approved, pending, revoked
    generation: Mapped[int] = mapped_column(default=1)
    first_login_at: Mapped[int | None]
    if TYPE_CHECKING:
        last_seen_at: Mapped[int | None]  # from Seen, see below
    # what it last said of itself
    board: Mapped[str | None] = mapped_column(String(64))
    chip: Mapped[int | None]
    version: Mapped[str | None] = mapped_column(String(64))
    image_sha256: Mapped[str | None] = mapped_column(String(64))
    slot: Mapped[str | None] = mapped_column(String(16))
    seq: Mapped[int] = mapped_column(default=0)
    agent: Mapped[int] = mapped_column(default=0)
    staging: Mapped[int] = mapped_column(default=0)
    ram: Mapped[int] = mapped_column(default=0)
    codecs: Mapped[list[int]] = mapped_column(default=list)
    inventory: Mapped[dict[str, Any]] = mapped_column(default=dict)
    # where its update stands
    state: Mapped[str] = mapped_column(String(16), default="idle")
    state_at: Mapped[int | None]
    step: Mapped[int] = mapped_column(default=0)
    code: Mapped[int] = mapped_column(default=0)
    detail: Mapped[str] = mapped_column(String(256), default="")
    last_report: Mapped[int] = mapped_column(default=0)


class Seen(Base):
    """When a device was last heard of. Apart, and narrow: a fleet that polls writes here and nowhere else,
    and the rows of thousands of devices share a few pages."""

    __tablename__ = "seen"
    device_id: Mapped[int] = mapped_column(
        RowId, ForeignKey("devices.id"), primary_key=True, autoincrement=False
    )
    at: Mapped[int]


Device.last_seen_at = column_property(
    select(Seen.at).where(Seen.device_id == Device.id).correlate_except(Seen).scalar_subquery(),
    expire_on_flush=False,
)


class Release(TenantRow):
    __tablename__ = "releases"
    __table_args__ = (
        UniqueConstraint("product_id", "version", "board"),
        UniqueConstraint("product_id", "seq"),
        Index(None, "product_id", "image_sha256"),
    )
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    version: Mapped[str] = mapped_column(String(64))
    seq: Mapped[int]
    board: Mapped[str] = mapped_column(String(64))
    chip: Mapped[int]
    image_sha256: Mapped[str] = mapped_column(String(64))
    image_size: Mapped[int]
    bundle_sha256: Mapped[str] = mapped_column(String(64), default="", server_default="")  # empty: none
    bundle_size: Mapped[int] = mapped_column(default=0, server_default="0")
    notes: Mapped[str] = mapped_column(Text, default="")
    channel: Mapped[str] = mapped_column(String(32), default="stable", server_default="stable")
    verified_at: Mapped[int | None]  # a test device confirmed it


class Job(TenantRow):
    """One package to be made: a pure function of (base, target, options), so that is its key."""

    __tablename__ = "jobs"
    __table_args__ = (UniqueConstraint("release_id", "base_sha256"), Index(None, "state", "id"))
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id"))
    key: Mapped[str] = mapped_column(String(64), unique=True)
    base_sha256: Mapped[str] = mapped_column(String(64))  # empty: the full package
    target_sha256: Mapped[str] = mapped_column(String(64))
    options: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(16))  # queued, running, done, failed
    attempts: Mapped[int] = mapped_column(default=0)
    code: Mapped[int] = mapped_column(default=0)
    detail: Mapped[str] = mapped_column(Text, default="")
    started_at: Mapped[int | None]
    finished_at: Mapped[int | None]


class Package(TenantRow):
    """One immutable object that passed every check and may be served."""

    __tablename__ = "packages"
    __table_args__ = (UniqueConstraint("release_id", "base_sha256"), Index(None, "sha256"))
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id"))
    base_sha256: Mapped[str] = mapped_column(String(64))  # empty: the full package
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int]
    payload_size: Mapped[int]
    codec: Mapped[int]
    ram: Mapped[int]  # what its decoder needs
    staging: Mapped[int]  # bytes of it that a board must hold at once
    facts: Mapped[dict[str, Any]]


class Rollout(TenantRow):
    __tablename__ = "rollouts"
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"), index=True)
    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id"))
    # for whom
    audience: Mapped[str] = mapped_column(String(16))  # all, list, group
    group_id: Mapped[int | None] = mapped_column(ForeignKey("groups.id"))
    devices: Mapped[list[str]] = mapped_column(default=list, server_default="[]")  # of a list
    # how
    phases: Mapped[list[dict[str, Any]]] = mapped_column(default=list, server_default="[]")
    parallel: Mapped[int]
    per_minute: Mapped[int] = mapped_column(default=0, server_default="0")
    start_at: Mapped[int] = mapped_column(default=0, server_default="0")
    window: Mapped[list[int]] = mapped_column(
        default=list, server_default="[]"
    )  # from, to: minutes of the day, UTC
    stop_after_failures: Mapped[int]
    stop_at_percent: Mapped[float] = mapped_column(default=0, server_default="0")
    retry_after: Mapped[int]
    user_applies: Mapped[bool] = mapped_column(default=False, server_default=false())
    # who
    created_by: Mapped[str] = mapped_column(String(80), server_default="")
    approved_by: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    # how far
    state: Mapped[str] = mapped_column(String(16))  # draft, running, paused, stopped, done
    why: Mapped[str] = mapped_column(String(256), default="")
    total: Mapped[int] = mapped_column(default=0, server_default="0")
    phase: Mapped[int] = mapped_column(
        default=0, server_default="0"
    )  # of `phases`; behind the last: everyone
    reached_at: Mapped[int | None]  # when the phase had its successes; then it soaks
    started_at: Mapped[int | None]
    finished_at: Mapped[int | None]


class Target(Base):
    """One device in one rollout."""

    __tablename__ = "targets"
    __table_args__ = (
        Index(None, "device_id", "state"),
        Index(None, "rollout_id", "state", "active_at"),
        Index(None, "rollout_id", "offered_at"),
        Index(None, "rollout_id", "rank"),
    )
    rollout_id: Mapped[int] = mapped_column(ForeignKey("rollouts.id"), primary_key=True, autoincrement=False)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"), primary_key=True, autoincrement=False)
    rank: Mapped[int] = mapped_column(default=0, server_default="0")  # stable order, by hash: 0, 1, 2, ...
    state: Mapped[str] = mapped_column(String(16))  # waiting, offered, deferred, confirmed, failed, unneeded
    code: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    package_sha256: Mapped[str | None] = mapped_column(String(64))
    offered_at: Mapped[int] = mapped_column(default=0, server_default="0")
    active_at: Mapped[int] = mapped_column(default=0)  # last sign of progress
    not_before: Mapped[int] = mapped_column(default=0)
    updated_at: Mapped[int]


class Report(TenantRow):
    """A change of state that a device told: its update timeline. Counted once by (device, report id)."""

    __tablename__ = "reports"
    __table_args__ = (UniqueConstraint("device_id", "report_id"),)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"))
    report_id: Mapped[int]
    at: Mapped[int]  # the device's clock; 0: it had none
    rollout_id: Mapped[int | None]
    seq: Mapped[int]
    version: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    step: Mapped[int]
    code: Mapped[int]
    coarse: Mapped[int]
    detail: Mapped[str] = mapped_column(String(256))
    data: Mapped[dict[str, Any]]


class DeviceLog(TenantRow):
    """What a device sent after a failure."""

    __tablename__ = "device_logs"
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"), index=True)
    text: Mapped[str] = mapped_column(Text)


class Channel(TenantRow):
    """Where alarms go."""

    __tablename__ = "channels"
    kind: Mapped[ChannelKind] = mapped_column(String(16))
    target: Mapped[str] = mapped_column(String(512))  # a URL, or an e-mail address
    kinds: Mapped[list[str]]  # of alarms
    secret_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    disabled_at: Mapped[int | None]


class Alarm(TenantRow):
    __tablename__ = "alarms"
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    kind: Mapped[str] = mapped_column(String(32))
    object: Mapped[str] = mapped_column(String(128))
    text: Mapped[str] = mapped_column(String(512))
    data: Mapped[dict[str, Any]]
    acknowledged_by: Mapped[str | None] = mapped_column(String(80))


class Delivery(TenantRow):
    """One alarm to one channel, until it has arrived or been tried often enough."""

    __tablename__ = "deliveries"
    __table_args__ = (Index(None, "state", "next_at"),)
    alarm_id: Mapped[int] = mapped_column(ForeignKey("alarms.id"), index=True)
    channel_id: Mapped[int] = mapped_column(ForeignKey("channels.id"))
    state: Mapped[DeliveryState] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[int]
    problem: Mapped[str] = mapped_column(String(256), default="")
