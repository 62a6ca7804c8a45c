"""Runs the table of attacks over one board: its flash, its images, and what became of each case."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from otaboards import loader, runtime
from otaboards.mpy import compile_tree
from otadiff import build
from otadiff.sign import Signer
from otasim import bench, files, parts
from otaspec import cose, image, image_file, journal
from otaspec import manifest as manifests

TIME = 1_800_000_000  # by the server
FLOOR = 6  # the highest seq that the board has confirmed
BOARD = loader.load("LINUX_HOST")
SIGNER, STRANGER = (Signer(ec.derive_private_key(n, ec.SECP256R1())) for n in (0xD21B, 0xBAD))
DS = bytes(range(32))
_DEVICE = Path(__file__).parent / "device"
_LAB = parts.MODULES.parent / "lab"


@cache
def app(fill: str, size: int = 9000, chip: int = image.LINUX_HOST, secure: int = 2) -> bytes:
    """An image whose code is nothing but `fill`; its security counter is `secure`."""
    body = hashlib.shake_256(fill.encode()).digest(size)
    desc = image_file.pack_desc(fill, secure_version=secure)
    return bytes(image_file.build([(0x3F400020, desc + body)], chip))


OLD, OLDER = app("1.0.0"), app("0.9.0")
NEW = OLD[:4000] + app("1.1.0")[4000:4600] + OLD[4600:-49]
NEW = bytes(image_file.build([(0x3F400020, NEW[32:-2])], image.LINUX_HOST))


def signed(payload: bytes, signer: Signer = SIGNER) -> bytes:
    """The package's head around the payload of an envelope, whatever that is."""
    return bytes(manifests.package_head(cose.sign1(payload, signer.kid, signer.sign)))


def fields(new: bytes = NEW, **change: Any) -> dict[str, Any]:
    """A good manifest of a whole image, changed."""
    data = change.pop("data", new[manifests.IMAGE_HEAD :])
    found: dict[str, Any] = {
        **{"seq": 9, "product": "lab", "board": "LINUX_HOST", "chip": image.LINUX_HOST, "version": "1.1.0"},
        **{"image_size": len(new), "image_sha256": hashlib.sha256(new).digest(), "secure_version": 2},
        **{"payload_size": len(data), "payload_sha256": hashlib.sha256(data).digest()},
        **{"payload_codec": 0, "payload_params": {}, "payload_ram": 0},
        **{"payload_head": new[: manifests.IMAGE_HEAD]},
    }
    return found | change


def full(new: bytes = NEW, signer: Signer = SIGNER, **change: Any) -> bytes:
    """A package with a whole image."""
    data = change.get("data", new[manifests.IMAGE_HEAD :])
    return signed(manifests.encode(manifests.Manifest(**fields(new, **change))), signer) + data


@cache
def patch_of(new: bytes, codec: str = "bsdiff", old: bytes = OLD) -> Any:
    """What the differ makes of OLD and `new`."""
    return next(iter(build.candidates(old, new, BOARD, [codec], lambda *_: None)))


def delta(new: bytes = NEW, codec: str = "bsdiff", **change: Any) -> bytes:
    """A package with a patch; `data` for another payload, `made` for a patch to another image."""
    made = patch_of(change.pop("made", new), codec, change.pop("old", OLD))
    base = {"base_size": len(OLD), "base_sha256": hashlib.sha256(OLD).digest(), "payload_head": b""}
    how = {"payload_codec": made.codec, "payload_params": made.params, "payload_ram": made.ram}
    return full(new, **({"data": made.payload} | base | how | change))


def board(folder: Path, old: bytes = OLD) -> dict[str, Any]:
    """The job: a board that runs OLD, an older image that boots in the other slot."""
    settings = {
        **{"pk": "lab", "dn": "kitchen", "ds": DS, "server": "http://lab", "keys": SIGNER.public},
        **{"board": BOARD.name, "version": "1.0.0", "dev": 1, "wdt": 8000, "soak": 0},
    }
    made = files.create(
        folder / "board.bin",
        flash_size=BOARD.flash_size,
        rows=BOARD.rows,
        images={0: old, 1: OLDER},
        chip_id=BOARD.chip_id,
        settings=settings,
    )
    return {
        **{"flash": str(made.flash), "flash_size": BOARD.flash_size, "chip": BOARD.chip_id, "time": TIME},
        **{"pk": "lab", "dn": "kitchen", "ds": DS.hex()},
    }


def records(**change: Any) -> dict[str, str]:
    """NVS blobs: the floor, and what else a case wants."""
    known = {"images": [[hashlib.sha256(OLD).digest(), FLOOR, "1.0.0"]]}
    kinds = {"floor": (journal.FLOOR, {"seq": FLOOR}), "known": (journal.KNOWN, known)}
    return {
        name: journal.encode(kind, record).hex()
        for name, (kind, record) in (kinds | change).items()
        if record
    }


async def run(
    folder: Path, cases: Sequence[dict[str, Any]], without: str = "", old: bytes = OLD
) -> dict[str, dict[str, Any]]:
    """{name: what became of it}. `without`: a check that the agent leaves out; `old`: what the board runs."""
    found = runtime.find()
    lab = compile_tree([_LAB], arch=found.arch) / _LAB.name
    path = [_DEVICE, lab, parts.stand_ins(found), bench.firmware(found)]
    lines = [json.dumps(row) for row in (board(folder, old) | {"without": without}, *cases)]
    child = await asyncio.create_subprocess_exec(
        *found.command(["-m", "hostile"], heap="2M", path=path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={},
        cwd=folder,
    )
    said, complaints = await child.communicate("\n".join(lines).encode() + b"\n")
    assert child.returncode == 0, complaints.decode()[-2000:]
    told = [json.loads(line) for line in said.splitlines() if line.startswith(b'{"')]
    results = {row["name"]: row["found"] for row in told if "name" in row}
    assert set(results) == {case["name"] for case in cases}, complaints.decode()[-2000:]
    return results
