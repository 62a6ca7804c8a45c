"""Power cuts in an update whose patch cannot be staged: it goes on at a block, whatever was cut."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from otaboards import loader, runtime
from otaboards.loader import Board
from otadiff.build import build_package
from otasim import bench, lab, points, prove
from otasim.lab import Survey, Update, Verdict
from otasim.points import Regions
from otaspec import image, image_file, verify
from otaspec.manifest import CHUNK_ROOM, CHUNK_SIZE

from tests.agent.station import tight_board
from tests.power.bench import SIGNER
from tests.spec.packages import keyset

pytestmark = pytest.mark.slow

SIZE = 160 * 1024  # three blocks
NEW_BYTES = 3000  # in each stretch of 16 KB


def images() -> tuple[bytes, bytes]:
    dice = random.Random(3)
    old = dice.randbytes(SIZE)
    new = bytearray(old)
    for at in range(5000, SIZE - NEW_BYTES, 16384):
        new[at : at + NEW_BYTES] = dice.randbytes(NEW_BYTES)
    made = [(v, image_file.pack_desc(v) + body) for v, body in (("1.0.0", old), ("1.1.0", bytes(new)))]
    first, second = (image_file.build([(0x3F400020, body)], image.LINUX_HOST) for _, body in made)
    return first, second


class Bench:
    """A board that can stage nothing, and its package."""

    def __init__(self, folder: Path) -> None:
        self.old, new = images()
        self.board: Board = loader.load(tight_board(folder, len(new)))
        self.regions = Regions(self.board.rows)
        made = build_package(
            self.old, new, board=self.board, product="lab", version="1.1.0", seq=7, signer=SIGNER
        )
        self.package = made.data
        manifest = verify.open_package(made.data, keyset.KeySet([keyset.Key(SIGNER.public)]))
        assert len(manifest.payload_chunks) > 32 * 5
        # Of the package: the head again, and what was fetched of the block that was in work.
        self.again = manifest.payload_offset + CHUNK_ROOM + manifest.payload_size // 2 + 2 * CHUNK_SIZE

    def update(self, folder: Path, slot: int = 0, **options: object) -> Update:
        return bench.update_of(
            folder,
            runtime.find(),
            self.board,
            self.old,
            self.package,
            SIGNER.public,
            slot=slot,
            **options,
        )


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("tight"))


async def judged(tight: Bench, update: Update, count: int) -> tuple[Survey, list[Verdict]]:
    """`count` points, 0: every operation in every way."""
    base = await lab.survey(runtime.find(), update)
    assert (base.outcome, base.why) == (update.expected(), "")
    chosen = points.stratified(base, tight.regions, count) if count else points.exhaustive(base)
    return base, await prove.run(runtime.find(), update, base, chosen)


def check(tight: Bench, base: Survey, verdicts: Sequence[Verdict]) -> None:
    assert {v.outcome for v in verdicts} == {"new"}
    assert max(v.extra_bytes for v in verdicts) <= tight.again
    # The sector that was in work, and sector 0 where no stage was (SLOTS.md 6).
    assert max(v.extra_erases for v in verdicts) <= 2
    assert base.otadata_erases <= 5


async def test_cuts_in_every_kind_of_operation(tmp_path: Path, tight: Bench) -> None:
    base, verdicts = await judged(tight, tight.update(tmp_path), 60)
    check(tight, base, verdicts)
    regions = {tight.regions.of(*base.trace[v.point.operation - 1]) for v in verdicts}
    assert regions >= {"nvs", "otadata", "head", "slot"}
    assert {v.point.kind for v in verdicts} == set(points.SINGLE)


async def test_a_dead_release_in_blocks_is_sent_back(tmp_path: Path, tight: Bench) -> None:
    base = await lab.survey(runtime.find(), tight.update(tmp_path, release="self_test"))
    assert (base.outcome, base.why) == ("old", "")


@pytest.mark.slow
@pytest.mark.parametrize("slot", [0, 1])
async def test_cuts_all_over(tmp_path: Path, tight: Bench, slot: int) -> None:
    base, verdicts = await judged(tight, tight.update(tmp_path, slot), 500)
    assert len(verdicts) > 480
    check(tight, base, verdicts)
