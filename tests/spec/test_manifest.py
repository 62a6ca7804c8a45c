"""Fields survive the way there and back. What is refused is in vectors/manifest.json."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from otaspec import manifest as manifests
from otaspec.errors import OtaError

from tests.spec import packages

TEXT = st.text(min_size=1, max_size=64).filter(lambda s: len(s.encode()) <= 64)
HASH = st.binary(min_size=32, max_size=32)
SIZE = st.integers(1, manifests.MAX_IMAGE)
BIG = st.integers(0, (1 << 53) - 1)


@st.composite
def fields(draw: st.DrawFn) -> dict[str, object]:
    codec = draw(st.integers(0, 9))
    row = {
        **{name: draw(TEXT) for name in ("product", "board", "version")},
        **{name: draw(HASH) for name in ("image_sha256", "payload_sha256")},
        "seq": draw(st.integers(1, 2**31 - 1)),
        "chip": draw(st.integers(0, 65535)),
        "image_size": draw(st.integers(33, manifests.MAX_IMAGE)),
        "payload_size": draw(st.integers(1, 1 << 19)),
        "payload_codec": codec,
        "payload_params": draw(st.dictionaries(st.integers(0, 255), st.integers(0, 2**31 - 1), max_size=16)),
        "payload_ram": draw(st.integers(0, 2**31 - 1)),
    }
    if codec == manifests.IMAGE:
        row |= {"payload_head": draw(st.binary(min_size=32, max_size=32))}
        row |= {"image_size": row["payload_size"] + 32}
    if codec == manifests.KEPT:
        row["payload_size"] = 0
    elif codec > manifests.HEATSHRINK:
        row |= {"base_size": draw(SIZE), "base_sha256": draw(HASH)}
    if draw(st.booleans()):
        chunks = -(-row["payload_size"] // 4096)
        row |= {"payload_chunk_size": 4096, "payload_chunks": draw(HASH) * chunks}
    for name, values in (("secure_version", BIG), ("min_agent", BIG), ("sbom", HASH), ("device", TEXT)):
        if draw(st.booleans()):
            row[name] = draw(values)
    return row


@given(fields())
def test_encode_then_decode(row: dict[str, object]) -> None:
    found = manifests.decode(manifests.encode(manifests.Manifest(**row)))
    for name in row:
        assert getattr(found, name) == row[name]
    assert manifests.encode(found) == manifests.encode(manifests.Manifest(**row))


@pytest.mark.parametrize(
    "change",
    [{"seq": 0}, {"base_size": 0}, {"product": ""}, {"payload_codec": 0}, {"payload_chunks": bytes(32)}],
)
def test_the_encoder_refuses_what_the_decoder_would(change: dict[str, object]) -> None:
    with pytest.raises(OtaError, match="MANIFEST_INVALID"):
        manifests.encode(packages.manifest(**change))


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"", "PACKAGE_TRUNCATED"),
        (b"DRB", "PACKAGE_TRUNCATED"),
        (b"DRB1\1\0\0", "PACKAGE_TRUNCATED"),
        (b"DRX", "PACKAGE_MAGIC_WRONG"),
        (b"\xe9\5\2\0\0\0\0\0", "PACKAGE_MAGIC_WRONG"),
        (b"DRB1\0\0\0\0", "MANIFEST_TOO_LARGE"),
        (b"DRB1\1\x20\0\0", "MANIFEST_TOO_LARGE"),
    ],
)
def test_head(head: bytes, name: str) -> None:
    with pytest.raises(OtaError, match=name):
        manifests.size_of(head)
    assert manifests.size_of(b"DRB1\0\x20\0\0") == 8192
