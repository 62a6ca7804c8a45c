"""What a release is to the boards in use: whether it runs there, and which of its packages they can take."""

import json
from collections import Counter
from typing import Any

from otaspec.errors import OtaError, code
from sqlalchemy import Text, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import boards, offers
from otacloud.errors import describe
from otacloud.models import Device, Package, Release
from otacloud.schemas import BoardFit, Problem


async def look(session: AsyncSession, release: Release) -> list[BoardFit]:
    """One entry for each kind of board that devices of the product said they are, by its name."""
    packages = list(await session.scalars(select(Package).where(Package.release_id == release.id)))
    codecs = cast(Device.codecs, Text)
    same = (Device.board, Device.chip, Device.image_sha256, codecs, Device.ram, Device.staging)
    own = (Device.product_id == release.product_id, Device.access == "approved", Device.board.is_not(None))
    query = select(*same, func.count()).where(*own).group_by(*same)
    found: dict[str, BoardFit] = {}
    for row in await session.execute(query):
        values: tuple[Any, ...] = tuple(row)
        name, chip, image, known, ram, staging, count = values
        if name not in found:
            problem = _problem(release, name, chip)
            found[name] = BoardFit(board=name, devices=0, problem=problem, delta=0, full=0)
        entry = found[name]
        entry.devices += count
        if entry.problem is None:
            board = offers.Board(name, image or "", 0, "idle", frozenset(json.loads(known)), ram, staging)
            taken = Counter({_kind(board, packages): count})
            entry.delta += taken["delta"]
            entry.full += taken["full"]
    return [found[name] for name in sorted(found)]


def _problem(release: Release, name: str, chip: int) -> Problem | None:
    """Why the image does not run on that board: its chip, its slot, or that it was made for another."""
    try:
        boards.choose(name, release.chip, release.image_size)
    except OtaError as refused:
        return describe(refused.code, refused.evidence)
    if name == release.board and chip == release.chip:
        return None
    return describe(code("BOARD_WRONG"), f"the release is for {release.board}")


def _kind(board: offers.Board, packages: list[Package]) -> str:
    chosen = offers.choose(board, packages)
    return "none" if chosen is None else "delta" if chosen.base_sha256 else "full"
