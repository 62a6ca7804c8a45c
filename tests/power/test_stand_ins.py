"""What plays the chip: the image check of set_boot is the bootloader's, the partition API is the port's."""

import random
from pathlib import Path

from otaboards import runtime
from otasim import parts
from otaspec import image, image_file
from otaspec.errors import OtaError

from tests.simulated import CHIP, app_image, new_board, run_on

_JUDGE = """
import sys
from _board import image
for line in sys.stdin:
    raw = memoryview(bytes.fromhex(line.strip()))
    print(int(image.verifies(lambda at, n: raw[at:at + n], len(raw), CHIP)))
"""


def mutated() -> list[bytes]:
    dice = random.Random(1)
    segments = [(0x3F400020, image_file.pack_desc("1")), (0x40080000, b"code" * 30)]
    hashed, plain = (image_file.build(segments, CHIP, hashed=h) for h in (True, False))
    found = [hashed, plain, hashed + b"more", hashed[:-1], image_file.build(segments, 5), b"\xff" * 600]
    for i in range(400):
        raw = bytearray((hashed, plain)[i % 2])
        raw[dice.randrange(len(raw) if dice.random() < 0.5 else 40)] ^= 1 << dice.randrange(8)
        found.append(bytes(raw))
    return found


def test_set_boot_and_bootloader_agree_on_what_verifies() -> None:
    images = mutated()
    found = runtime.find()
    done = found.run(
        _JUDGE.replace("CHIP", str(CHIP)),
        stdin="".join(raw.hex() + "\n" for raw in images),
        timeout=60,
        path=[parts.stand_ins(found)],
    )
    assert done.returncode == 0, done.stderr

    def expected(raw: bytes) -> bool:
        def read(at: int, buffer: bytearray) -> None:
            buffer[:] = raw[at : at + len(buffer)]

        try:
            image.verify(read, len(raw), CHIP)
        except OtaError:
            return False
        return True

    verdicts = [expected(raw) for raw in images]
    found = [line == "1" for line in done.stdout.split()]
    assert [raw[:60].hex() for raw, a, b in zip(images, found, verdicts, strict=True) if a != b] == []
    assert 30 < sum(verdicts) < len(images) - 200


def test_partition_api(tmp_path: Path) -> None:
    code = """
from esp32 import Partition as P
run = P(P.RUNNING)
other = run.get_next_update()
print(run.info(), other.info(), other.get_next_update().info()[4], P("ota_1").info()[4])
print([p.info()[4] for p in P.find(P.TYPE_DATA)], P.find(label="ota_1"))
print(P.find(1, 0)[0].ioctl(4, 0), run.ioctl(5, 0))
print(P(P.BOOT).info()[4])
other.set_boot()
print(P(P.BOOT).info()[4], P(P.RUNNING).info()[4])
for wrong in ("nothing", 7):
    try:
        P(wrong)
    except (OSError, ValueError) as e:
        print(repr(e))
"""
    done = run_on(new_board(tmp_path), code)
    assert done.stdout.splitlines() == [
        "(0, 16, 65536, 1572864, 'ota_0', False) (0, 17, 1638400, 1572864, 'ota_1', False) ota_0 ota_1",
        "['nvs', 'otadata'] [<Partition type=0, subtype=17, address=1638400, size=1572864, label=ota_1, "
        "encrypted=0>]",
        "2 4096",
        "ota_0",
        "ota_1 ota_0",
        "OSError(2,)",
        "ValueError()",
    ]


def test_set_boot_refuses_what_does_not_verify(tmp_path: Path) -> None:
    board = new_board(tmp_path, {0: app_image("1")})
    done = run_on(board, "import esp32\nesp32.Partition('ota_1').set_boot()")
    assert "OSError: (-5379, 'ESP_ERR_OTA_VALIDATE_FAILED')" in done.stdout + done.stderr


def test_the_heap_that_the_stand_ins_take(tmp_path: Path) -> None:
    """They run in the firmware's heap, which they must not distort."""
    code = "import gc\ngc.collect()\na = gc.mem_alloc()\nimport esp32, machine, network\ngc.collect()\n"
    done = run_on(new_board(tmp_path), code + "print(gc.mem_alloc() - a)")
    assert int(done.stdout) < 36_000
