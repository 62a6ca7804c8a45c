"""What a poll is offered: pure decisions over what the board says and what there is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from otacloud.models import Package, Release, Rollout, Target

TRIAL = "pending-verify"


@dataclass(frozen=True)
class Board:
    """What matters of a poll."""

    board: str
    image_sha256: str
    seq: int
    state: str
    codecs: frozenset[int]
    ram: int
    staging: int


@dataclass(frozen=True)
class Gate:
    """How far a rollout has come: `confirmed` needs to be exact only up to the size of the canary."""

    canary: int
    parallel: int  # 0: any number at once
    confirmed: int
    in_flight: int

    def is_open(self) -> bool:
        """Whether one more board may be offered the release."""
        if self.confirmed < self.canary:
            return self.confirmed + self.in_flight < self.canary
        return self.parallel == 0 or self.in_flight < self.parallel


Need = Literal["update", "not now", "confirmed", "unneeded"]


def need(board: Board, release: Release, target: Target, now: int) -> Need:
    """What the board's open place in a rollout asks for."""
    if board.state == TRIAL:
        return "not now"
    if board.image_sha256 == release.image_sha256:
        return "confirmed" if target.attempts else "unneeded"
    if board.board != release.board or board.seq >= release.seq:
        return "unneeded"
    return "not now" if now < target.not_before else "update"


def can_take(board: Board, package: Package) -> bool:
    """Whether the board says that it can decode and stage this package. A plain image needs neither."""
    if package.codec == 0:
        return True
    return package.codec in board.codecs and package.ram <= board.ram and package.staging <= board.staging


def choose(board: Board, packages: Sequence[Package]) -> Package | None:
    """The smallest package for the image that runs now."""
    usable = [p for p in packages if p.base_sha256 in ("", board.image_sha256) and can_take(board, p)]
    return min(usable, key=lambda p: p.size, default=None)


def answer(rollout: Rollout, release: Release, package: Package, base_url: str) -> dict[str, object]:
    """The `update` member of a poll's answer; `etag` as the header has it, with its quotes."""
    return {
        "rollout": rollout.id,
        "seq": release.seq,
        "version": release.version,
        "url": f"{base_url.rstrip('/')}/v1/packages/{package.sha256}",
        "size": package.size,
        "etag": f'"{package.sha256}"',
    }
