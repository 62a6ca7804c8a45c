"""A patch that the board cannot stage: decoded chunk by chunk while it comes, resumed at a block."""

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from otasim.faults import KINDS, Cut, Faults
from otasim.link import Link
from otaspec import manifest as manifests
from otaspec import verify

from tests.spec.packages import KEYS

from .service import Service
from .station import Station, delta, full, image, reported, tight_board

pytestmark = pytest.mark.slow

FILL = 60_000  # bytes of each image that are its own: so many are literals
BLOCK = 65536
OLD, NEW = image("1.0.0", fill=FILL), image("1.1.0", fill=FILL)


@dataclass
class Release:
    """A kind of board that can stage nothing, and the package for it."""

    kind: Path
    package: bytes
    manifest: Any

    @property
    def payload(self) -> bytes:
        return self.package[self.manifest.payload_offset :]

    def station(self, folder: Path, service: Service, **options: Any) -> Station:
        folder.mkdir(exist_ok=True)
        return Station(folder, service, OLD, kind=self.kind, settings={"staging": 0} | options)

    def changed(self, payload: bytes, **change: Any) -> bytes:
        """Signed again, around another payload."""
        m = self.manifest
        names = ("payload_codec", "payload_params", "payload_ram", "base_size", "base_sha256", "board")
        fields = {name: getattr(m, name) for name in names} | {"payload_head": b""}
        return full(NEW, payload=payload, **fields | chunks_of(payload) | change)


def chunks_of(payload: bytes) -> dict[str, Any]:
    step = manifests.CHUNK_SIZE
    parts = [payload[at : at + step] for at in range(0, len(payload), step)]
    hashes = b"".join(hashlib.sha256(part).digest() for part in parts)
    return {"payload_chunk_size": step, "payload_chunks": hashes}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    kind = tight_board(tmp_path_factory.mktemp("kind"), max(len(OLD), len(NEW)))
    package = delta(OLD, NEW, kind=kind)
    made = verify.open_package(package, KEYS)
    assert made.payload_codec == manifests.ADDRESS
    assert len(made.payload_chunks) >= 32 * 15
    assert len(NEW) > 2 * BLOCK
    return Release(kind, package, made)


async def test_an_update_that_is_never_staged(tmp_path: Path, release: Release) -> None:
    with Service() as service:
        service.release(release.package)
        board = await release.station(tmp_path, service).run(reported("confirmed"))
        assert board.slot(1, len(NEW)) == NEW
        assert board.slot(0, len(OLD)) == OLD
        assert service.ranges == [""]  # one request: head, manifest, and every chunk in order
        assert max(board.wear("ota_1")) == 1
        assert service.polls[0]["staging"] == 0


def sections(payload: bytes) -> list[int]:
    """Where the section of each block begins in the patch (PATCH.md 13)."""
    blocks = -(-len(NEW) // BLOCK)
    sizes = [int.from_bytes(payload[4:6], "little")]
    sizes += [int.from_bytes(payload[6 + 3 * k : 9 + 3 * k], "little") for k in range(blocks)]
    return [6 + 3 * blocks + sum(sizes[: k + 1]) for k in range(blocks)]


def resumed_at(service: Service, release: Release) -> list[int]:
    """Bytes of the patch at which requests after the first began."""
    starts = [int(wanted[6:-1]) for wanted in service.ranges if wanted]
    return [start - release.manifest.payload_offset for start in starts]


@pytest.mark.parametrize("kind", KINDS)
async def test_power_cuts_of_each_kind(tmp_path: Path, release: Release, kind: str) -> None:
    dice = random.Random(kind)
    cuts = [Cut(at + dice.randrange(90), kind, at) for at in (2, 150, 400, 650, 850)]
    with Service() as service:
        service.release(release.package)
        board = release.station(tmp_path, service)
        await board.run(reported("confirmed"), Faults(cuts), seconds=60)
    assert board.slot(1, len(NEW)) == NEW
    assert board.slot(0, len(OLD)) == OLD
    done = board.exits().count("power-cut")
    assert done >= 4
    assert max(board.wear("ota_1")) <= 1 + done
    # After a cut: the chunks with directory and head, then those from the block that was in work on.
    starts = {at // 4096 * 4096 for at in sections(release.payload)}
    assert {at for at in resumed_at(service, release) if at > 0} & starts
    assert max(resumed_at(service, release)) >= min(starts - {0})


async def test_a_network_that_breaks_again_and_again(tmp_path: Path, release: Release) -> None:
    with Service() as service:
        service.release(release.package)
        async with Link("127.0.0.1", service.port) as link:
            board = release.station(tmp_path, service, server=f"http://127.0.0.1:{link.port}")
            breaks = [20_000, 30_000, 25_000]

            def broken_or_done(board: Station) -> bool:
                if link.cut_at is None and breaks:
                    link.cut_at = breaks.pop()
                return reported("confirmed")(board)

            await board.run(broken_or_done, seconds=60)
            assert link.cuts == 3
    assert board.slot(1, len(NEW)) == NEW
    wear = board.wear("ota_1")
    # Written once, though much was decoded again; SLOTS.md 6 marks sector 0 where no stage was in work.
    assert (max(wear[1:]), wear[0] <= 4) == (1, True)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


async def test_a_bit_that_flips_on_the_way_is_fetched_again(tmp_path: Path, release: Release) -> None:
    with Service() as service:
        service.release(release.package)
        etag = service.offer["etag"] if service.offer else ""
        wrong = [flipped(release.package, len(release.package) // 2)]
        service.instead["/v1/packages"] = lambda *_: (
            (200, {"ETag": etag}, wrong.pop()) if wrong else None  # type: ignore[func-returns-value]
        )
        board = await release.station(tmp_path, service).run(reported("confirmed"))
    assert board.slot(1, len(NEW)) == NEW
    assert "failed" not in service.states()


def hostile(release: Release) -> dict[str, tuple[int, bytes]]:
    package, payload = release.package, release.payload
    begin = release.manifest.payload_offset
    none = bytes(len(release.manifest.payload_chunks))
    directory = bytes([payload[0], payload[1], payload[2], 16])
    return {
        "the first chunk": (115, flipped(package, begin + 9)),
        "a chunk in the middle": (115, flipped(package, begin + 30_000)),
        "the last chunk": (115, flipped(package, len(package) - 1)),
        "hashes of another patch": (115, release.changed(payload, payload_chunks=none)),
        "truncated": (108, package[:-1]),
        "truncated at a chunk": (108, package[: begin + 3 * 4096]),
        "trailing bytes": (109, package + b"x"),
        "a head that is too long": (112, release.changed(directory + b"\xff" * 2 + bytes(20_000))),
        "sections that are too long": (112, release.changed(directory + b"\1\0" + b"\xff" * 20_000)),
        "a section cut short": (112, release.changed(payload[:-500])),
        "blocks of 2^21 bytes": (112, release.changed(payload[:3] + b"\x15" + payload[4:])),
        "more memory than there is": (113, release.changed(payload, payload_ram=1 << 20)),
    }


@pytest.mark.codes(112, 113, 115)
async def test_hostile_chunks(tmp_path: Path, release: Release) -> None:
    """Each ends in its own code; nothing boots from the slot; then a good one goes through."""
    cases = hostile(release)
    found: dict[str, int] = {}
    with Service() as service:
        board = release.station(tmp_path, service)

        def failure(rollout: int) -> int:
            told = [r for r in service.reports if (r["rollout"], r["state"]) == (rollout, "failed")]
            return told[0]["code"] if told else 0

        for number, (name, (_, package)) in enumerate(cases.items(), 100):
            erased = board.erases()
            service.release(package, rollout=number)
            await board.run(lambda s, number=number: bool(failure(number)))  # type: ignore[misc]
            found[name] = failure(number)
            if name == "the first chunk":
                assert board.erases() == erased  # nothing was written before something right came
        assert found == {name: code for name, (code, _) in cases.items()}
        assert {e.data["slot"] for e in board.events if e.kind == "slot"} == {"ota_0"}
        service.release(release.package, rollout=3)
        await board.run(reported("confirmed"))
        assert board.slot(1, len(NEW)) == NEW
