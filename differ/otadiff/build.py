"""Image pair in, signed package out: images checked first, every package applied by the device's decoder."""

import hashlib
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from otaboards import loader
from otaboards.loader import Board
from otaspec import cose, image, image_file
from otaspec import manifest as manifests
from otaspec.errors import InputError, PatchError, code, error
from otaspec.image import Image
from otaspec.manifest import Manifest
from otaspec.partition import Row

from otadiff import bundles
from otadiff.apply import Applied, apply_files
from otadiff.codecs import Encoded, Progress, stage
from otadiff.estimate import Estimate, changed_sectors, estimate
from otadiff.plan import candidates, name_of
from otadiff.sign import Signer

RAW_CHIP = 0xFFFF
_ENCODING = 0.85  # share of the time, before the package is applied


@dataclass(frozen=True)
class Package:
    """A finished package. Sizes in bytes, times in seconds.

    tried: the payload size that each codec reached. applied: the device's decoder, which rebuilt NEW from it.
    changed: sectors of NEW that are not OLD's at their place.
    """

    data: bytes
    manifest: Manifest
    encoded: Encoded
    tried: dict[str, int]
    encode_seconds: float
    applied: Applied
    changed: int

    @property
    def same(self) -> bool:
        """Whether the new image is the old one."""
        return self.manifest.image_sha256 == self.manifest.base_sha256

    @property
    def estimate(self) -> Estimate:
        """How long a board takes."""
        m = self.manifest
        if m.payload_codec == manifests.KEPT:
            return estimate(manifests.IMAGE, 0, 0, 0)
        staged = not self.encoded.chunked
        return estimate(
            m.payload_codec, m.base_size, m.image_size, m.payload_size, self.changed, staged=staged
        )

    def facts(self) -> dict[str, Any]:
        """What people and machines ask first, for JSON."""
        m = self.manifest
        return {
            "old_size": m.base_size or None,
            "new_size": m.image_size,
            "patch_size": m.payload_size,
            "package_size": len(self.data),
            "codec": name_of(m.payload_codec),
            "blocks": self.encoded.chunked,
            "same": self.same,
            "decoder_ram": m.payload_ram,
            "seconds": round(self.encode_seconds, 3),
            "apply_seconds": round(self.applied.seconds, 3),
            "decoder": self.applied.decoder,
            **{"product": m.product, "board": m.board, "chip": m.chip, "version": m.version, "seq": m.seq},
            "sha256": hashlib.sha256(self.data).hexdigest(),
            "image_sha256": m.image_sha256.hex(),
            "base_sha256": m.base_sha256.hex() or None,
            "bundle_size": m.bundle_size,
            "bundle_sha256": m.bundle_sha256.hex() or None,
            "tried": self.tried,
            "parts": self.encoded.parts,
            "estimated_seconds": self.estimate.facts(),
        }


def build_package(
    old: bytes | None,
    new: bytes,
    *,
    board: Board,
    product: str,
    version: str,
    seq: int,
    signer: Signer,
    codecs: Sequence[str] = (),
    bundle: bytes = b"",
    progress: Progress = lambda _what, _share: None,
    **fields: Any,
) -> Package:
    """The smallest package that takes `board` from `old` (None: from any image) to `new`.

    codecs: names of those to try, all by default. bundle: the application's; where `old` is `new` it comes
    alone, for boards that run that image. fields: further ones of the manifest (secure_version,
    min_agent, not_after, device, sbom). progress hears what is being done.
    Raises 601 to 607 for images that do not fit, and whatever a board would raise (PACKAGE.md section 4):
    the device's own decoder, under MicroPython, has rebuilt `new` from every package that is returned.
    """
    for name, data in (("the new image", new), ("the old image", old)):
        if data is not None:
            check_image(data, board, name)
    if bundle:
        bundles.check(bundle)
    started = time.monotonic()
    if bundle and old == new:
        made = [Encoded(manifests.KEPT, {}, b"", 0)]
    else:
        made = list(candidates(old, new, board, codecs, stage(progress, 0.0, _ENCODING)))
    if not made:
        raise error(code("STAGING_TOO_SMALL"), f"no payload of {', '.join(codecs) or 'any codec'} fits")
    made.sort(key=lambda each: (each.size, each.codec))
    seconds = time.monotonic() - started
    tried = {name_of(each.codec): len(each.payload) for each in made}
    about: dict[str, Any] = {"seq": seq, "product": product, "version": version}
    about |= {"board": board.name, "chip": board.chip_id}
    about |= {"secure_version": _secure_version(new)} | bundles.fields(bundle) | fields
    _check_counter(about["secure_version"], old, new)
    while True:
        best = made.pop(0)
        payload = manifests.encode(_manifest(old, new, best, about))
        manifest = manifests.decode(payload)
        signed = cose.sign1(payload, signer.kid, signer.sign)
        data = manifests.package_head(signed) + bundle + best.payload
        try:
            applied = _prove(old, new, data, board, signer, stage(progress, _ENCODING, 1.0))
        except PatchError as problem:
            # A stretch of NEW that no transport could feed (PATCH.md 13): seen only when it is decoded.
            if made and best.chunked and problem.code == code("PATCH_INVALID"):
                continue
            raise
        return Package(data, manifest, best, tried, seconds, applied, changed_sectors(old or b"", new))


def build_undo(
    old: bytes, *, board: Board, product: str, version: str, seq: int, signer: Signer, **fields: Any
) -> bytes:
    """The signed instruction that brings boards back to `old`, which they confirmed before and still hold.

    A package without a payload (PATCH.md, codec 4). `version` is the old one's name; `seq` is its own. Raises
    601 to 607 for an image that does not fit.
    """
    check_image(old, board, "the old image")
    manifest = Manifest(
        **{"seq": seq, "product": product, "version": version, "board": board.name, "chip": board.chip_id},
        **{"image_size": len(old), "image_sha256": hashlib.sha256(old).digest()},
        **{"payload_sha256": hashlib.sha256(b"").digest(), "payload_codec": manifests.KEPT},
        **({"secure_version": _secure_version(old)} | fields),
    )
    return manifests.package_head(cose.sign1(manifests.encode(manifest), signer.kid, signer.sign))


def check_image(data: bytes, board: Board, name: str) -> None:
    """A sound app image for the board's chip that fits its slots; else 601 to 607. RAW takes anything.

    `name` tells people which of their files is meant.
    """
    if board.chip_id != RAW_CHIP:
        _check_app(data, board.chip_id, name)
    if len(data) > board.slot_size:
        raise InputError(
            code("NO_BOARD_FITS"), f"{name}: {len(data)} bytes, a slot of {board.name} has {board.slot_size}"
        )


def _check_app(data: bytes, chip: int | None, name: str) -> Image:
    try:
        return image_file.check(reader(data), len(data), chip)
    except InputError as problem:
        raise InputError(problem.code, f"{name}: {problem.evidence}"[:120]) from problem


def board_for(new: bytes, raw: bool = False) -> Board:
    """The smallest board that takes an image; the board RAW for bytes that are no ESP image."""
    if raw:
        return raw_board()
    found = _check_app(new, None, "the new image")
    return loader.smallest_for(found.chip, len(new))


def raw_board() -> Board:
    """No board: for measuring patches of other firmware. Nothing installs its packages."""
    slots = tuple(Row(0, 0x10 + n, n << 24, 1 << 24, f"ota_{n}") for n in range(2))
    host = loader.load("LINUX_HOST")
    return replace(host, name="RAW", chip_id=RAW_CHIP, flash_size=1 << 25, rows=slots, staging=1 << 24)


def reader(data: bytes) -> Callable[[int, bytearray], None]:
    """`data` as otaspec.image reads it."""

    def read(at: int, buffer: bytearray) -> None:
        buffer[:] = data[at : at + len(buffer)]

    return read


def facts_of(board: Board, new_size: int, old_size: int) -> dict[str, Any]:
    """What the checks of PACKAGE.md section 4 need to know of a kind of board (otaspec.verify.Board)."""
    return {
        "board": board.name,
        "chip": board.chip_id,
        "slot_size": board.slot_size,
        "ram": board.decoder_ram,
        "staging": board.staging_for(new_size, old_size),
        "codecs": board.codecs,
    }


def _check_counter(said: int, old: bytes | None, new: bytes) -> None:
    """The manifest says what the image says, and no less than the image before: a board checks both."""
    found, before = _secure_version(new), _secure_version(old or b"")
    if said != found or found < before:
        evidence = f"{said} in the manifest, {found} in the new image, {before} in the old one"
        raise error(code("SECURE_VERSION_TOO_OLD"), evidence)


def _secure_version(new: bytes) -> int:
    """The image's own; a manifest that said less would let a board be rolled back."""
    return int(image.read_desc(reader(new), len(new)).get("secure_version", 0))


def _manifest(old: bytes | None, new: bytes, made: Encoded, about: dict[str, Any]) -> Manifest:
    """What the bytes themselves say, and what is said about them."""
    manifest = Manifest(
        image_size=len(new),
        image_sha256=hashlib.sha256(new).digest(),
        payload_size=len(made.payload),
        payload_sha256=hashlib.sha256(made.payload).digest(),
        payload_codec=made.codec,
        payload_params=made.params,
        payload_ram=made.ram,
        payload_head=made.head,
        payload_chunk_size=manifests.CHUNK_SIZE if made.chunked else 0,
        payload_chunks=made.chunks,
        **about,
    )
    if made.codec not in (manifests.IMAGE, manifests.HEATSHRINK, manifests.KEPT) and old is not None:
        manifest.base_size, manifest.base_sha256 = len(old), hashlib.sha256(old).digest()
    return manifest


def _prove(
    old: bytes | None, new: bytes, data: bytes, board: Board, signer: Signer, progress: Progress
) -> Applied:
    """The package as a board of this kind would take it: its checks, its decoder, its read-back."""

    def say(written: int) -> None:
        progress("Applying the package as a board does", written / max(len(new), 1))

    say(0)
    with tempfile.TemporaryDirectory() as folder:
        base, package, out = (Path(folder, name) for name in ("old", "package", "new"))
        base.write_bytes(old or b"")
        package.write_bytes(data)
        before = base if old is not None else None
        facts = facts_of(board, len(new), len(old or b""))
        applied = apply_files(before, package, out, [signer.public], facts=facts, progress=say)
        if out.read_bytes() != new:
            raise error(code("IMAGE_HASH_WRONG"), "the decoder made another image")
    return applied
