"""otaspec.image: what a bootloader checks. esptool 5 judges what we build, and the reverse."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
from esptool.bin_image import LoadFirmwareImage
from otaspec import image, image_file
from otaspec.errors import InputError

from tests.spec.readers import reader

SEGMENTS = [(0x3C000020, image_file.pack_desc("1.0", "demo") + b"x" * 1001), (0x40380000, b"y" * 300)]


def built(**options: bool) -> bytes:
    return image_file.build(SEGMENTS, 5, 0x40380010, **options)


@pytest.mark.parametrize("hashed", [True, False])
def test_esptool_accepts_what_we_build(tmp_path: Path, hashed: bool) -> None:
    raw = built(hashed=hashed)
    file = tmp_path / "app.bin"
    file.write_bytes(raw)
    theirs = LoadFirmwareImage("esp32c3", str(file))
    assert theirs.checksum == theirs.calculate_checksum() == raw[-33 if hashed else -1]
    assert theirs.chip_id == 5
    assert theirs.entrypoint == 0x40380010
    assert [(s.addr, len(s.data)) for s in theirs.segments] == [(0x3C000020, 1260), (0x40380000, 300)]
    assert theirs.append_digest is hashed
    assert not hashed or theirs.stored_digest == theirs.calc_digest


@pytest.mark.parametrize("buffer", [4, 60, 4096, 100_000])
@pytest.mark.parametrize("hashed", [True, False])
def test_verify_takes_any_buffer(buffer: int, hashed: bool) -> None:
    raw = built(hashed=hashed)
    found = image.verify(reader(raw), len(raw) + 5000, 5, bytearray(buffer))
    assert found.size == len(raw)
    assert found.chip == 5
    assert found.segments == [(0x3C000020, 32, 1260), (0x40380000, 1300, 300)]


def test_the_description_is_read() -> None:
    desc = image.read_desc(reader(built()), len(built()))
    assert (desc["version"], desc["project"], desc["secure_version"]) == ("1.0", "demo", 0)


@pytest.mark.parametrize("hashed", [True, False])
def test_every_flipped_byte_is_found(hashed: bool) -> None:
    """Only padding and unchecked header fields of an image without a hash may change unseen."""
    raw = built(hashed=hashed)
    unseen = []
    for at in range(len(raw)):
        bad = bytearray(raw)
        bad[at] ^= 0x40
        try:
            image.verify(reader(bad), len(bad), 5)
        except InputError:
            continue
        unseen.append(at)
    if hashed:
        assert unseen == []
    else:
        header = [a for a in range(24) if a not in (0, 1, 12, 13)]
        addresses = [*range(24, 28), *range(1292, 1296)]
        assert set(unseen) <= {*header, *addresses, *range(1600, len(raw) - 1)}


def test_every_truncation_is_found() -> None:
    raw = built()
    for size in range(len(raw)):
        with pytest.raises(InputError) as caught:
            image.verify(reader(raw), size, 5)
        assert caught.value.name == "IMAGE_TRUNCATED"


@pytest.mark.parametrize(
    ("at", "value", "name"),
    [
        (0, 0xFF, "IMAGE_RAW"),
        (1, 17, "IMAGE_INVALID"),
        (12, 9, "CHIP_MISMATCH"),
        (28, 0xED, "IMAGE_INVALID"),  # segment length no multiple of 4
        (31, 0x01, "IMAGE_INVALID"),  # segment of 16 MB
        (40, 0x00, "IMAGE_CHECKSUM_WRONG"),
        (-1, 0x00, "IMAGE_CHECKSUM_WRONG"),  # the appended hash
    ],
)
def test_each_fault_has_its_name(at: int, value: int, name: str) -> None:
    raw = bytearray(built())
    raw[at] = value if raw[at] != value else value ^ 1
    with pytest.raises(InputError) as caught:
        image.verify(reader(raw), len(raw), 5)
    assert caught.value.name == name


def test_digest_takes_the_head_from_memory() -> None:
    raw = built()
    on_flash = b"\xff" * 32 + raw[32:]
    assert image.digest(reader(on_flash), len(raw), raw[:32], bytearray(100)) == sha256(raw).digest()
    assert image.digest(reader(raw), len(raw)) == sha256(raw).digest()


def test_real_images_verify(corpus: Path) -> None:
    chips = {"esp32": 0, "s2": 2, "s3": 9, "c3": 5, "c6": 13, "p4": 18}
    pairs = json.loads(Path(corpus, "pairs.json").read_text())
    assert pairs, chips
    tried = 0
    for file in sorted(corpus.glob("*.bin")):
        raw = file.read_bytes()
        if raw[32:36] != image.DESC_MAGIC:
            continue
        found = image.verify(reader(raw), len(raw))
        assert found.size == len(raw)
        assert found.chip in chips.values()
        tried += 1
    assert tried >= 15
