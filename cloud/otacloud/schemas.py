"""What the management API takes and gives: shared by the service and its client."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, SecretStr, model_validator

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Version = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\s/\x00-\x1f]+$")]

Tag = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,32}$")]

Channel = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]

Registration = Literal["open", "approval", "closed"]
Access = Literal["approved", "pending", "revoked"]
JobState = Literal["queued", "running", "done", "failed"]
ReleaseState = Literal["building", "ready", "failed"]
RolloutState = Literal["draft", "running", "paused", "stopped", "done"]
TargetState = Literal["waiting", "offered", "deferred", "confirmed", "failed", "unneeded"]


ChannelKind = Literal["webhook", "email"]
AlarmKind = Literal["device.reverted", "device.silent", "rollout.stopped", "job.failed"]
DeliveryState = Literal["queued", "done", "failed"]
Role = Literal["viewer", "operator", "manager", "owner"]
AREAS = (
    *("alarms", "audit", "devices", "groups", "products"),
    *("releases", "rollouts", "secrets", "tokens", "users"),
)
# What a token may be held to: the tag of a call, and whether it only looks. To write is to read too.
SCOPES = tuple(f"{area}:{verb}" for area in AREAS for verb in ("read", "write"))
Scope = Annotated[str, Field(pattern=rf"^({'|'.join(AREAS)}):(read|write)$")]
Password = Annotated[SecretStr, Field(min_length=10, max_length=128)]


class Me(BaseModel):
    name: str
    kind: Literal["token", "user"]
    role: Role
    tenant: str


class UserIn(BaseModel):
    name: Name
    role: Role
    password: Password


class UserChange(BaseModel):
    role: Role | None = None
    password: Password | None = None
    disabled: bool | None = None


class UserOut(BaseModel):
    name: str
    role: Role
    created_at: int
    disabled: bool


class UserList(BaseModel):
    users: list[UserOut]


class TokenIn(BaseModel):
    name: Name
    role: Role
    product: Name | None = Field(None, description="Only for this product; left out: for all.")
    scopes: list[Scope] = Field(
        [],
        max_length=20,
        description="Only these: releases:write, rollouts:read ...; none: all that its role may.",
    )


class TokenOut(BaseModel):
    id: int
    name: str
    role: Role
    product: str | None
    scopes: list[str]
    created_at: int
    revoked_at: int | None


class TokenSecret(TokenOut):
    token: str = Field(description="Shown this once.")


class TokenList(BaseModel):
    tokens: list[TokenOut]


class ChannelIn(BaseModel):
    kind: ChannelKind
    target: str = Field(min_length=3, max_length=512, description="A URL (https), or an e-mail address.")
    kinds: list[AlarmKind] = Field(min_length=1, description="Alarms that go there.")


class ChannelOut(BaseModel):
    id: int
    kind: ChannelKind
    target: str
    kinds: list[str]
    disabled: bool


class ChannelSecret(ChannelOut):
    secret: str | None = Field(
        description="Of a webhook, shown this once. "
        "Driblet-Signature is t=TIME,v1=HMAC-SHA256(secret, TIME.BODY), in hex."
    )


class ChannelList(BaseModel):
    channels: list[ChannelOut]


class DeliveryOut(BaseModel):
    target: str
    state: DeliveryState
    attempts: int
    problem: str


class AlarmOut(BaseModel):
    id: int
    product: str
    kind: str
    object: str
    text: str
    data: dict[str, Any]
    created_at: int
    acknowledged_by: str | None
    deliveries: list[DeliveryOut]


class AlarmList(BaseModel):
    alarms: list[AlarmOut]


class AuditOut(BaseModel):
    number: int
    created_at: int
    who: str
    action: str
    object: str
    detail: dict[str, Any]
    hash: str


class AuditList(BaseModel):
    entries: list[AuditOut]


class AuditCheck(BaseModel):
    entries: int = Field(description="Entries that are whole and in their place.")
    head: str = Field(description="Hash of the last of them.")
    broken_at: int | None = Field(description="Number of the first that was changed, added or taken out.")


class Problem(BaseModel):
    """What went wrong, in words."""

    code: int
    name: str
    cause: str
    remedy: str
    detail: str = ""


class ProductIn(BaseModel):
    """`pk` is made up where it is left out."""

    pk: Name | None = None
    name: str = Field("", max_length=128)
    board: Name | None = Field(None, description="Board id; the first release sets it where it is left out.")
    registration: Registration = Field(
        "open", description="Devices with the product secret: let in, wait for approval, or are refused."
    )


class ProductChange(BaseModel):
    registration: Registration | None = None
    name: str | None = Field(None, max_length=128)
    approvals: int | None = Field(
        None, ge=0, le=2, description="People other than its maker that must agree before a rollout starts."
    )
    silent_after: int | None = Field(
        None,
        ge=0,
        le=30 * 86_400,
        description="Seconds of silence of a device that raise an alarm; 0: never.",
    )
    verify_first: bool | None = Field(
        None, description="A device of a test group must have confirmed a release before others may have it."
    )


class ProductOut(BaseModel):
    pk: str
    name: str
    board: str | None
    registration: Registration
    approvals: int
    verify_first: bool
    silent_after: int
    kid: str = Field(description="Id of the key that signs, 16 hex digits.")
    public_key: str = Field(description="X || Y, 128 hex digits: what goes into the firmware.")


class ProductList(BaseModel):
    products: list[ProductOut]


class ProductSecret(ProductOut):
    ps: str = Field(description="Product secret, 64 hex digits.")


class KeySetKey(BaseModel):
    kid: str
    product: str = Field(description="The one product that it may sign for; empty: any.")


class KeySetOut(BaseModel):
    """A key set, as boards get it."""

    version: int
    threshold: int = Field(description="Roots that must sign the next one.")
    roots: list[str] = Field(description="Public keys X || Y, 128 hex digits each.")
    keys: list[KeySetKey]
    revoked: list[str]
    seq_floor: int | None
    signs_releases: bool = Field(description="Whether the key that this service signs with is in it.")
    created_at: int


class KeySetList(BaseModel):
    keysets: list[KeySetOut]


class DeviceIn(BaseModel):
    dn: Name
    group: Name | None = Field(None, description="Its static group.")
    tags: list[Tag] = Field([], max_length=32)


class DeviceChange(BaseModel):
    """Sets what is given; `group` null takes it out of its group."""

    group: Name | None = None
    tags: list[Tag] | None = Field(None, max_length=32)


class Imported(BaseModel):
    """What became of a list of devices."""

    made: int
    known: list[str] = Field(description="Names that were there already: left as they are.")


class GroupIn(BaseModel):
    name: Name
    rule: str | None = Field(
        None,
        max_length=1024,
        description="`attribute operator value`, joined with and: board = LINUX_HOST and tags has beta. "
        "Attributes: dn, board, chip, version, slot, seq, agent, tags, inventory.NAME. "
        "Operators: = != < <= > >= has. Left out: a static group.",
    )
    test: bool = Field(False, description="Its devices verify a release before others may have it.")
    poll_interval: int | None = Field(None, ge=1, le=86_400, description="Seconds; left out: the server's.")


class GroupChange(BaseModel):
    rule: str | None = Field(None, max_length=1024)
    test: bool = False
    poll_interval: int | None = Field(None, ge=1, le=86_400)


class GroupOut(BaseModel):
    name: str
    rule: str | None
    test: bool
    poll_interval: int | None
    devices: int


class GroupList(BaseModel):
    groups: list[GroupOut]


class DeviceSecret(BaseModel):
    dn: str
    ds: str = Field(description="Device secret, 64 hex digits: shown this once.")


class DeviceOut(BaseModel):
    dn: str
    access: Access
    group: str | None
    tags: list[str]
    board: str | None
    chip: int | None
    version: str | None
    image_sha256: str | None
    slot: str | None
    seq: int
    state: str
    step: int = Field(description="1..100 while it goes on, -1..-4 when it failed.")
    state_at: int | None
    error: Problem | None
    last_seen_at: int | None


class ReportOut(BaseModel):
    id: int
    at: int = Field(description="The device's clock; 0: it had none.")
    received_at: int
    rollout: int | None
    seq: int
    version: str
    state: str
    step: int
    error: Problem | None
    data: dict[str, Any]


class DeviceDetail(DeviceOut):
    codecs: list[int]
    staging: int
    ram: int
    inventory: dict[str, Any]
    reports: list[ReportOut] = Field(description="Changes of state, newest first.")
    log: str | None = Field(description="What it sent after its last failure.")
    held: Problem | None = Field(None, description="Why a release that is rolled out to it is not offered.")


class DevicePage(BaseModel):
    total: int
    devices: list[DeviceOut]


class JobOut(BaseModel):
    """One package of a release. Without a base it is the full one."""

    base_sha256: str | None
    base_version: str | None
    state: JobState
    attempts: int
    seconds: int | None
    error: Problem | None
    sha256: str | None = Field(description="The package's hash and name, once it is done.")
    size: int | None
    payload_size: int | None
    codec: int | None
    ram: int | None = Field(description="Bytes that its decoder needs on the board.")


class ReleaseOut(BaseModel):
    version: str
    seq: int
    board: str
    chip: int
    image_sha256: str
    image_size: int
    bundle_sha256: str = Field("", description="Of the application's files beside the image; empty: none.")
    bundle_size: int = 0
    notes: str
    channel: str
    created_at: int
    verified_at: int | None = Field(description="When a test device confirmed it.")
    state: ReleaseState = Field(
        description="ready: the full package may be served; deltas may still be on their way."
    )
    jobs: list[JobOut]


class ReleaseList(BaseModel):
    releases: list[ReleaseOut]


class ReleaseChange(BaseModel):
    """Sets what is given and leaves the rest."""

    channel: Channel | None = Field(None, description="Only what is in stable may go to all devices.")
    notes: str | None = Field(None, max_length=4096)


class BoardFit(BaseModel):
    """What a release is to the boards of one kind that are in use."""

    board: str
    devices: int
    problem: Problem | None = Field(description="Why the image cannot run there.")
    delta: int = Field(description="Devices that will take a delta that is made already.")
    full: int = Field(description="Devices that will take the full package: no delta, or too little memory.")


class ReleaseFit(BaseModel):
    boards: list[BoardFit]


class Health(BaseModel):
    status: Literal["ok"]
    schema_revision: str


class PhaseIn(BaseModel):
    """`count` boards, whichever come first, or `percent` of all; both counted from the start."""

    count: int = Field(0, ge=0)
    percent: float = Field(0, ge=0, le=100)
    success: float = Field(100, gt=0, le=100, description="Percent of its boards that must have confirmed.")
    soak: int = Field(0, ge=0, le=30 * 86_400, description="Seconds between that and the next phase.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.count) == bool(self.percent):
            raise ValueError("a phase has a count or a percent")
        return self


Minute = Annotated[int, Field(ge=0, lt=1440)]


class RolloutIn(BaseModel):
    version: Version
    board: Name | None = None
    devices: list[Name] | None = Field(None, max_length=10_000, description="Only these.")
    group: Name | None = Field(None, description="Only this group. Without both: all devices of the product.")
    canary: int = Field(1, ge=0, description="A first phase of so many boards; not used with `phases`.")
    phases: list[PhaseIn] = Field([], max_length=16, description="What comes before everyone.")
    parallel: int = Field(0, ge=0, description="Boards that may be under way at once; 0: any number.")
    per_minute: int = Field(0, ge=0, description="Offers in a minute; 0: any number.")
    start_at: int = Field(0, ge=0, lt=2**40, description="Not before this time (UNIX seconds).")
    window: tuple[Minute, Minute] | None = Field(
        None, description="Offers only at this time of the day: minutes from, to; UTC; may pass midnight."
    )
    stop_after_failures: int = Field(1, ge=0, description="Failures that stop it by itself; 0: never.")
    stop_at_percent: float = Field(0, ge=0, le=100, description="The same in percent of all boards.")
    retry_after: int = Field(
        300, ge=0, le=604_800, description="Seconds until a board that put it off gets it again."
    )
    user_applies: bool = Field(
        False, description="A board is told, and gets the release once it says that its user agreed."
    )
    draft: bool = Field(False, description="Do not start yet.")

    @model_validator(mode="after")
    def _one_audience(self) -> Self:
        if self.devices is not None and self.group is not None:
            raise ValueError("devices or group, not both")
        return self

    def plan(self) -> list[PhaseIn]:
        if self.phases:
            return self.phases
        return [PhaseIn(count=self.canary)] if self.canary else []


class Counts(BaseModel):
    waiting: int = 0
    offered: int = 0
    deferred: int = 0
    confirmed: int = 0
    failed: int = 0
    unneeded: int = 0


class TargetOut(BaseModel):
    """How one device stands in a rollout."""

    dn: str
    state: TargetState
    attempts: int
    updated_at: int
    error: Problem | None


class TargetList(BaseModel):
    targets: list[TargetOut]


class RolloutOut(BaseModel):
    id: int
    product: str
    version: str
    seq: int
    board: str
    state: RolloutState
    why: str = Field(description="Why it stopped by itself.")
    audience: Literal["all", "list", "group"]
    group: str | None
    phases: list[PhaseIn]
    phase: int = Field(description="Index of the phase in force; behind the last one: everyone.")
    parallel: int
    per_minute: int
    start_at: int
    window: list[int]
    stop_after_failures: int
    stop_at_percent: float
    retry_after: int
    user_applies: bool
    created_at: int
    created_by: str
    approved_by: list[str]
    approvals_needed: int
    started_at: int | None
    total: int
    finished_at: int | None
    counts: Counts
    package_bytes: int = Field(description="Size of the packages that the confirmed boards took.")
    image_bytes: int = Field(description="What full images would have been.")


class RolloutDetail(RolloutOut):
    failures: list[TargetOut]
    held: list[TargetOut] = Field([], description="Boards that wait for more than their turn, and for what.")


class RolloutList(BaseModel):
    rollouts: list[RolloutOut]


class Done(BaseModel):
    """What a command says that has nothing else to show."""

    done: str
