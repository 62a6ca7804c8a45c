"""What a poll is offered: pure decisions over what the board says and what there is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from otacloud.models import Package, Release, Rollout

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
    bundle: str | None = None  # SHA-256 of the one in use; None: its agent takes none


@dataclass(frozen=True)
class Gate:
    """What may hold an offer back. A None means that there is no such bound."""

    rank: int  # of the board, by hash
    limit: int | None  # a phase of percents: boards below this rank
    quota: int | None  # a phase of counts: boards that have confirmed or are under way
    confirmed: int  # exact up to the quota
    in_flight: int
    parallel: int | None
    last_minute: int
    per_minute: int | None

    def for_rank(self, rank: int) -> "Gate":
        """The same gate before another board."""
        return replace(self, rank=rank)

    def free(self) -> int | None:
        """Boards that may be offered the release now; None: any number."""
        bounds = [
            None if self.quota is None else self.quota - self.confirmed - self.in_flight,
            None if self.parallel is None else self.parallel - self.in_flight,
            None if self.per_minute is None else self.per_minute - self.last_minute,
        ]
        known = [bound for bound in bounds if bound is not None]
        return max(min(known), 0) if known else None

    def is_open(self) -> bool:
        """Whether this board may be offered the release now."""
        return (
            (self.limit is None or self.rank < self.limit)
            and (self.quota is None or self.confirmed + self.in_flight < self.quota)
            and (self.parallel is None or self.in_flight < self.parallel)
            and (self.per_minute is None or self.last_minute < self.per_minute)
        )


Need = Literal["update", "not now", "newer agent", "confirmed", "unneeded"]


class Place(Protocol):
    """A device's open place in a rollout, and the release that it is about."""

    @property
    def attempts(self) -> int: ...
    @property
    def not_before(self) -> int: ...
    @property
    def board(self) -> str: ...
    @property
    def image_sha256(self) -> str: ...
    @property
    def bundle_sha256(self) -> str: ...
    @property
    def seq(self) -> int: ...


def need(board: Board, place: Place, now: int) -> Need:
    """What the board's open place in a rollout asks for."""
    if board.state == TRIAL:
        return "not now"
    if (board.image_sha256, board.bundle or "") == (place.image_sha256, place.bundle_sha256):
        return "confirmed" if place.attempts else "unneeded"
    if board.board != place.board or board.seq >= place.seq:
        return "unneeded"
    if place.bundle_sha256 and board.bundle is None:
        return "newer agent"
    return "not now" if now < place.not_before else "update"


def can_take(board: Board, package: Package) -> bool:
    """Whether the board says that it can decode and stage this package. A plain image needs neither."""
    if package.codec in (0, 4):
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
