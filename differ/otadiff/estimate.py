"""How long a board takes for an update: an estimate from counted instructions, not a measurement on a board.

Instructions are of RV32 at -Os, counted under an emulator. An ESP32 runs 85 million of them in a second at
240 MHz, 31 million at the worst (160 MHz, -Os). Flash: a sector of 4 KB takes 73 to 92 ms to erase and write.
The wait for the network is not in it.
"""

from dataclasses import dataclass

SECTOR = 4096
FLASH = 0.073, 0.092  # seconds to erase and write a sector
SPEED = 85e6, 31e6  # instructions in a second
_SIGNATURE = 25e6, 70e6  # with a table of the key, and without
_SHA256 = 88  # a byte, in software; the chip's own SHA-256 takes next to nothing

# Instructions by codec: for a byte of the image, for a byte of the patch. Codec 3: 346 million for an image
# of 1.75 MB and a patch of 1.8 KB (docs/benchmarks/mcu.json), and 2.6 times the time where a patch had 36 KB.
_DECODE = {0: (0, 0), 1: (53, 0), 2: (53 + 29, 0), 3: (183, 13_700)}


@dataclass(frozen=True)
class Estimate:
    """Seconds on a board, (least, most) each."""

    decode: tuple[float, float]
    flash: tuple[float, float]

    @property
    def total(self) -> tuple[float, float]:
        return self.decode[0] + self.flash[0], self.decode[1] + self.flash[1]

    def facts(self) -> dict[str, list[float]]:
        """For JSON: [least, most]."""
        pairs = {"decode": self.decode, "flash": self.flash, "total": self.total}
        return {name: [round(each, 1) for each in pair] for name, pair in pairs.items()}


def estimate(
    codec: int, old: int, new: int, patch: int, changed: int | None = None, staged: bool = True
) -> Estimate:
    """For sizes in bytes. The image is written where it differs from what is there, and read back.

    changed: sectors of NEW that differ from OLD's at their place. staged: whether the patch is written to
    flash first. Least: a fast chip that hashes by itself, whose backup slot holds an image like OLD. Most:
    a slow one that hashes in software, whose every sector has to be written.
    """
    per_image, per_patch = _DECODE[codec]
    decode = per_image * new + per_patch * patch
    hashes = _SHA256 * (old + new + patch)
    extra = _sectors(patch) if codec and staged else 0
    least = (_sectors(new) if changed is None else changed) + extra
    return Estimate(
        ((decode + _SIGNATURE[0]) / SPEED[0], (decode + _SIGNATURE[1] + hashes) / SPEED[1]),
        (least * FLASH[0], (_sectors(new) + extra) * FLASH[1]),
    )


def changed_sectors(old: bytes, new: bytes) -> int:
    """Sectors of `new` that differ from those of `old` at the same place."""
    return sum(old[at : at + SECTOR] != new[at : at + SECTOR] for at in range(0, len(new), SECTOR))


def _sectors(size: int) -> int:
    return -(-size // SECTOR)
