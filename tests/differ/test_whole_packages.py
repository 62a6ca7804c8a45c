"""The whole path of a package, from its first byte to the image: an error of ours, or the right image."""

import contextlib
import dataclasses
import hashlib
import io
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from otadiff import address, bsdiff, heatshrink, on_device
from otadiff.codecs import Encoded
from otaspec import cose
from otaspec import manifest as manifests
from otaspec.errors import OtaError
from otaspec.manifest import CHUNK_ROOM, IMAGE_HEAD

from tests.differ.images import pair
from tests.spec.packages import PUBLIC, sign
from tests.spec.patchimages import random_patch


@dataclasses.dataclass(frozen=True)
class Release:
    """A package, taken apart so that a part can be changed and all of it signed again."""

    old: bytes | None
    new: bytes
    fields: dict[str, Any]
    payload: bytes
    chunked: bool = False

    def package(self, payload: bytes | None = None, **change: Any) -> bytes:
        """Signed well, whatever is in it."""
        data = self.payload if payload is None else payload
        made = Encoded(0, {}, data, 0, chunked=self.chunked)
        fields = {
            **{"seq": 7, "product": "lamp", "board": "B", "chip": 0, "version": "1"},
            **{"image_size": len(self.new), "image_sha256": hashlib.sha256(self.new).digest()},
            **{"payload_size": len(data), "payload_sha256": hashlib.sha256(data).digest()},
            "payload_chunk_size": manifests.CHUNK_SIZE if self.chunked else 0,
            "payload_chunks": made.chunks,
        }
        manifest = manifests.Manifest(**fields | self.fields | change)
        signed = cose.sign1(manifests.encode(manifest), cose.kid(PUBLIC), sign)
        return manifests.package_head(signed) + data

    def outcome(self, package: bytes) -> bytes:
        """The image that comes out; OtaError."""
        out = io.BytesIO()
        old = io.BytesIO(self.old) if self.old is not None else None
        for _ in on_device.apply(old, io.BytesIO(package), out, [PUBLIC], {"ram": 1 << 16}):
            pass
        return out.getvalue()


@cache
def releases() -> list[Release]:
    """One of each codec, and one in blocks."""
    old, new = pair(3000)
    base = {"base_size": len(old), "base_sha256": hashlib.sha256(old).digest()}
    full, packed, patch = new[IMAGE_HEAD:], heatshrink.encode_image(new, 8192), bsdiff.encode(old, new, 8192)
    assert packed
    assert patch
    made = [
        Release(
            None, new,
            {"payload_codec": 0, "payload_params": {}, "payload_ram": 0, "payload_head": new[:IMAGE_HEAD]},
            full,
        ),
        Release(None, new, _codec(packed), packed.payload),
        Release(old, new, base | _codec(patch), patch.payload),
    ]  # fmt: skip
    for block, size in ((0, 3000), (16, 90_000)):
        found = random_patch(5, 1, explicit=False, mix=True, elide=True, block=block, size=size)
        data = found.encode()
        fields = {
            "base_size": len(found.old), "base_sha256": hashlib.sha256(found.old).digest(),
            "payload_codec": address.CODEC, "payload_params": {1: data[0], 2: data[1]},
            "payload_ram": address.RAM[address.NORMAL] + (CHUNK_ROOM if block else 0),
        }  # fmt: skip
        made.append(Release(found.old, found.new, fields, data, chunked=bool(block)))
    return made


def _codec(made: Encoded) -> dict[str, Any]:
    return {"payload_codec": made.codec, "payload_params": made.params, "payload_ram": made.ram}


RELEASES = st.integers(0, 4).map(lambda i: releases()[i])
COUNT = [40, pytest.param(300, marks=pytest.mark.slow)]


def altered(data: st.DataObject, raw: bytes) -> bytes:
    """With bytes changed, dropped or added; never the same."""
    bad = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(bad) - 1))
        how = data.draw(st.sampled_from(("change", "drop", "add", "cut")))
        if how == "change":
            bad[at] ^= data.draw(st.integers(1, 255))
        elif how == "drop" and len(bad) > 8:
            del bad[at : at + data.draw(st.integers(1, 4))]
        elif how == "add":
            bad[at:at] = data.draw(st.binary(min_size=1, max_size=8))
        else:
            del bad[at + 1 :]
    return bytes(bad)


def test_each_of_them_is_right() -> None:
    for one in releases():
        assert one.outcome(one.package()) == one.new
    assert releases()[-1].chunked


@pytest.mark.parametrize("count", COUNT)
def test_an_altered_package_is_refused(count: int) -> None:
    @settings(deadline=None, max_examples=count)
    @given(RELEASES, st.data())
    def check(one: Release, data: st.DataObject) -> None:
        package = one.package()
        bad = altered(data, package)
        if bad != package:
            with pytest.raises(OtaError):
                one.outcome(bad)

    check()


@pytest.mark.parametrize("count", COUNT)
def test_a_payload_that_was_signed_wrong_makes_no_other_image(count: int) -> None:
    """Whoever signs may err, or worse: its hashes are right, what it holds is not."""

    @settings(deadline=None, max_examples=count)
    @given(RELEASES, st.data())
    def check(one: Release, data: st.DataObject) -> None:
        bad = altered(data, one.payload)
        with contextlib.suppress(OtaError):
            assert one.outcome(one.package(bad)) == one.new

    check()


FIELDS = {
    "payload_codec": st.integers(0, 5),
    "payload_params": st.dictionaries(st.integers(0, 4), st.integers(0, 17), max_size=4),
    "payload_ram": st.integers(0, 1 << 17),
    "image_size": st.integers(1, 100_000),
    "base_size": st.integers(1, 100_000),
    "payload_size": st.integers(1, 100_000),
    "payload_chunk_size": st.just(manifests.CHUNK_SIZE),
    "payload_chunks": st.binary(min_size=32, max_size=96),
    "image_sha256": st.binary(min_size=32, max_size=32),
}


@pytest.mark.parametrize("count", COUNT)
def test_a_manifest_that_was_signed_wrong_makes_no_other_image(count: int) -> None:
    @settings(deadline=None, max_examples=count)
    @given(RELEASES, st.lists(st.sampled_from(sorted(FIELDS)), min_size=1, max_size=2), st.data())
    def check(one: Release, names: list[str], data: st.DataObject) -> None:
        change = {name: data.draw(FIELDS[name]) for name in names}
        with contextlib.suppress(OtaError):
            assert one.outcome(one.package(**change)) == one.new

    check()
