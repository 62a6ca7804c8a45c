"""Sets up what the fault lab tries: a board that runs OLD, and a package that takes it to NEW."""

import hashlib
from pathlib import Path
from typing import Any

import otaspec
from otaboards import linux_host
from otaboards.loader import Board
from otaboards.mpy import compile_tree
from otaboards.runtime import Runtime
from otaspec import verify
from otaspec.keyset import Key, KeySet

from otasim import files
from otasim.lab import Update

_WATCHDOG_MS = 8000
_DS = bytes(range(32))


def update_of(
    folder: Path,
    runtime: Runtime,
    board: Board,
    old: bytes,
    package: bytes,
    public: bytes,
    *,
    slot: int = 0,
    backup: bytes | None = None,
    **options: Any,
) -> Update:
    """An Update in `folder`: `old` runs in slot number `slot`, `backup` stands in the other one.

    public: X || Y of the key that signed the package. options: fields of Update, such as release or variant.
    Raises what verify.open_package raises where the package is not sound or the key is another.
    """
    manifest = opened(package, public)
    settings: dict[str, str | bytes | int] = {
        "pk": manifest.product, "dn": manifest.device or "lab", "ds": _DS, "server": "http://lab",
        "keys": public, "board": board.name, "version": "old", "ram": board.decoder_ram,
        "staging": board.staging, "wdt": _WATCHDOG_MS, "dev": 0, "soak": 1,
        "checkin": 2, "poll": 3,
    }  # fmt: skip
    images = {slot: old} | ({1 - slot: backup} if backup else {})
    folder.mkdir(parents=True, exist_ok=True)
    made = files.create(
        folder / "board.bin",
        flash_size=board.flash_size,
        rows=board.rows,
        images=images,
        chip_id=board.chip_id,
        settings=settings,
        active=slot,
    )
    where = folder / "package"
    where.write_bytes(package)
    return Update(
        flash=made.flash,
        package=where,
        firmware=(firmware(runtime),),
        chip_id=board.chip_id,
        old_sha256=hashlib.sha256(old).hexdigest(),
        old_size=len(old),
        new_sha256=manifest.image_sha256.hex(),
        new_size=manifest.image_size,
        seq=manifest.seq,
        version=manifest.version,
        settings=settings,
        **options,
    )


def opened(package: bytes, public: bytes) -> Any:
    """The manifest of a package that `public` signed; what verify.open_package raises otherwise."""
    return verify.open_package(package, KeySet([Key(public)]))


def firmware(runtime: Runtime) -> Path:
    """The folder with agent and contract, compiled: what every image under test would hold."""
    return compile_tree([linux_host.agent_package(), Path(otaspec.__file__).parent], arch=runtime.arch)
