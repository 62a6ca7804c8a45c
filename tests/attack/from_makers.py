"""Packages that lie, made by those who hold a signing key or not."""

import hashlib
from collections.abc import Iterator

from otaspec import image, image_file

from tests.attack import forge
from tests.attack.bench import NEW, SIGNER, STRANGER, app, delta, full, patch_of
from tests.attack.cases import GOOD, HEAD, OTHER, PATCH, PATCH_HEAD, Case, flip


def image_of_zeros(size: int) -> bytes:
    return bytes(
        image_file.build(
            [(0x3F400020, image_file.pack_desc("z", secure_version=2) + bytes(size))], image.LINUX_HOST
        )
    )


def _software() -> Iterator[Case]:
    row = "arbitrary software"
    yield Case(
        row,
        "unsigned",
        "SIGNATURE_WRONG",
        "a manifest with zeros for a signature",
        forge.resigned(GOOD, bytes(64)),
    )
    yield Case(
        row,
        "signed-by-a-stranger",
        "KEY_UNKNOWN",
        "a whole release signed with a key of its own",
        full(signer=STRANGER),
    )
    yield Case(
        row,
        "stranger-under-our-name",
        "SIGNATURE_WRONG",
        "the same with our key's id written over",
        forge.renamed(full(signer=STRANGER), SIGNER.kid),
    )
    yield Case(
        row,
        "field-changed",
        "SIGNATURE_WRONG",
        "one letter of the version changed",
        GOOD.replace(b"1.1.0", b"1.1.9", 1),
    )
    yield Case(
        row,
        "signature-of-another-release",
        "SIGNATURE_WRONG",
        "our own signature, of another manifest",
        forge.resigned(GOOD, full(seq=8)[HEAD - 64 : HEAD]),
    )
    yield Case(
        row,
        "s-above-the-order",
        "SIGNATURE_WRONG",
        "s + N in place of s: 256 bits of ones",
        forge.resigned(GOOD, GOOD[HEAD - 64 : HEAD - 32] + b"\xff" * 32),
    )
    yield Case(
        row,
        "another-algorithm",
        "SIGNATURE_WRONG",
        "alg ES256K in the protected header",
        GOOD.replace(b"\xa2\x01\x26\x04", b"\xa2\x01\x38\x04", 1),
    )
    yield Case(
        row,
        "key-in-the-header",
        "CBOR_MALFORMED",
        "its own key in the unprotected header",
        forge.with_unprotected(GOOD, STRANGER.public),
    )
    yield Case(
        row,
        "payload-exchanged",
        "PAYLOAD_HASH_WRONG",
        "a right manifest, another patch of that length",
        PATCH[:PATCH_HEAD] + bytes(len(PATCH) - PATCH_HEAD),
        later=True,
    )
    yield Case(
        row,
        "image-exchanged",
        "IMAGE_HASH_WRONG",
        "a right manifest, another image of that length",
        GOOD[:HEAD] + OTHER[32:],
        later=True,
    )
    yield Case(
        row,
        "image-altered-by-a-bit",
        "IMAGE_HASH_WRONG",
        "one bit of the image's code",
        flip(GOOD, -600, 0x10),
        later=True,
    )


def _bomb() -> Iterator[Case]:
    row = "decompression bomb"
    zeros = patch_of(image_of_zeros(200_000))
    short = patch_of(app("1.1.0", size=3000))
    yield Case(
        row,
        "patch-to-200-kb",
        "PATCH_INVALID",
        "a patch that unpacks to 20 times the signed size",
        later=True,
        package=delta(made=image_of_zeros(200_000)),
    )
    yield Case(
        row,
        "patch-to-too-little",
        "PATCH_INVALID",
        "a patch that ends before the signed size",
        later=True,
        package=delta(data=short.payload),
    )
    yield Case(
        row,
        "zeros-of-nothing",
        "PATCH_INVALID",
        "a compressed stream of the same bytes without end",
        later=True,
        package=delta(data=zeros.payload[:40] * 20),
    )
    yield Case(
        row,
        "noise",
        "PATCH_INVALID",
        "bytes that no encoder makes, signed",
        later=True,
        package=delta(data=hashlib.shake_256(b"noise").digest(300)),
    )
    yield Case(
        row,
        "noise-for-the-address-codec",
        "PATCH_INVALID",
        "the same for the other codec",
        later=True,
        package=delta(
            codec="address",
            data=patch_of(NEW, "address").payload[:8] + hashlib.shake_256(b"noise").digest(300),
        ),
    )
    yield Case(
        row,
        "empty-patch-body",
        "PATCH_INVALID",
        "one zero for a patch",
        later=True,
        package=delta(data=b"\0"),
    )
    yield Case(row, "memory", "PATCH_NEEDS_MORE_RAM", "a decoder of 16 MB", delta(payload_ram=1 << 24))
    yield Case(
        row,
        "window",
        "PATCH_INVALID",
        "a window that the declared memory does not cover",
        later=True,
        package=delta(payload_params={**patch_of(NEW).params, 2: 20}),
    )
    yield Case(
        row,
        "staging",
        "STAGING_TOO_SMALL",
        "a patch larger than the board can set aside",
        delta(payload_size=1 << 22),
    )


def _image() -> Iterator[Case]:
    row = "wrong image"
    raw = b"\xe8" + NEW[1:]
    yield Case(
        row,
        "header",
        "TRIAL_NOT_BOOTABLE",
        "a signed image whose first byte is not E9",
        full(raw),
        later=True,
    )
    yield Case(
        row,
        "raw",
        "TRIAL_NOT_BOOTABLE",
        "a signed file that is no image",
        full(hashlib.shake_256(b"r").digest(6000)),
        later=True,
    )
    yield Case(
        row, "segments", "TRIAL_NOT_BOOTABLE", "17 segments", full(NEW[:1] + b"\x11" + NEW[2:]), later=True
    )
    yield Case(
        row,
        "cut-image",
        "TRIAL_NOT_BOOTABLE",
        "a signed image that ends in its segment",
        full(NEW[:5000]),
        later=True,
    )
    yield Case(
        row,
        "combined",
        "TRIAL_NOT_BOOTABLE",
        "bootloader, table and app in one file, signed",
        full(forge.combined(NEW)),
        later=True,
    )
    yield Case(
        row,
        "something-behind-it",
        "TRIAL_NOT_BOOTABLE",
        "an image with 8 KB behind it, signed",
        full(NEW + bytes(8192)),
        later=True,
    )
    yield Case(
        row,
        "too-large",
        "IMAGE_TOO_LARGE",
        "an image larger than the slot",
        full(image_size=1 << 22, payload_size=(1 << 22) - 32),
    )
    yield Case(
        row,
        "patch-to-too-large",
        "IMAGE_TOO_LARGE",
        "a patch to an image larger than the slot",
        delta(image_size=1 << 22),
    )


GROUPS = (
    _software,
    _bomb,
    _image,
)
