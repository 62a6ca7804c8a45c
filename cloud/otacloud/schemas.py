"""What the management API takes and gives: shared by the service and its client."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, SecretStr

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Version = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\s/\x00-\x1f]+$")]

Registration = Literal["open", "approval", "closed"]
Access = Literal["approved", "pending", "revoked"]
JobState = Literal["queued", "running", "done", "failed"]
ReleaseState = Literal["building", "ready", "failed"]
RolloutState = Literal["running", "paused", "stopped", "done"]
TargetState = Literal["waiting", "offered", "deferred", "confirmed", "failed", "unneeded"]


Role = Literal["viewer", "operator", "manager", "owner"]
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


class TokenOut(BaseModel):
    id: int
    name: str
    role: Role
    product: str | None
    created_at: int
    revoked_at: int | None


class TokenSecret(TokenOut):
    token: str = Field(description="Shown this once.")


class TokenList(BaseModel):
    tokens: list[TokenOut]


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


class ProductOut(BaseModel):
    pk: str
    name: str
    board: str | None
    registration: Registration
    kid: str = Field(description="Id of the key that signs, 16 hex digits.")
    public_key: str = Field(description="X || Y, 128 hex digits: what goes into the firmware.")


class ProductSecret(ProductOut):
    ps: str = Field(description="Product secret, 64 hex digits.")


class DeviceIn(BaseModel):
    dn: Name


class DeviceSecret(BaseModel):
    dn: str
    ds: str = Field(description="Device secret, 64 hex digits: shown this once.")


class DeviceOut(BaseModel):
    dn: str
    access: Access
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
    notes: str
    created_at: int
    state: ReleaseState = Field(
        description="ready: the full package may be served; deltas may still be on their way."
    )
    jobs: list[JobOut]


class RolloutIn(BaseModel):
    version: Version
    board: Name | None = None
    devices: list[Name] | None = Field(
        None, max_length=10_000, description="Left out: all devices of the product."
    )
    canary: int = Field(1, ge=0, description="Boards that must confirm before others are offered it.")
    parallel: int = Field(0, ge=0, description="Boards that may be under way at once; 0: any number.")
    stop_after_failures: int = Field(1, ge=0, description="Failures that stop it by itself; 0: never.")
    retry_after: int = Field(
        300, ge=0, le=604_800, description="Seconds until a board that put it off gets it again."
    )


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


class RolloutOut(BaseModel):
    id: int
    product: str
    version: str
    seq: int
    board: str
    state: RolloutState
    why: str = Field(description="Why it stopped by itself.")
    audience: Literal["all", "list"]
    canary: int
    parallel: int
    stop_after_failures: int
    retry_after: int
    created_at: int
    finished_at: int | None
    counts: Counts
    package_bytes: int = Field(description="Size of the packages that the confirmed boards took.")
    image_bytes: int = Field(description="What full images would have been.")


class RolloutDetail(RolloutOut):
    failures: list[TargetOut]
