"""Which board an image is for."""

from otaboards import loader
from otaspec.image import chip_name

from otacloud.errors import refuse


def choose(name: str | None, chip: int, size: int) -> str:
    """The id of the board named, if the image fits it; without a name the smallest that it fits.

    NOT_FOUND, CHIP_MISMATCH, IMAGE_TOO_LARGE, NO_BOARD_FITS.
    """
    if name is None:
        return loader.smallest_for(chip, size).name
    board = loader.load(name)
    if board.chip_id != chip:
        raise refuse("CHIP_MISMATCH", f"the image is for {chip_name(chip)}, {name} has {board.chip}")
    if size > board.slot_size:
        raise refuse("IMAGE_TOO_LARGE", f"{size} bytes, a slot of {name} has {board.slot_size}")
    return name
