"""The inner loops of the flash, in viper: they take no heap of the firmware."""

import micropython


@micropython.viper
def needs_erase(old: ptr8, new: ptr8, size: int) -> int:
    """1 if programming `new` over `old` would have to turn a 0 into a 1."""
    for i in range(size):
        if int(old[i]) & int(new[i]) != int(new[i]):
            return 1
    return 0


@micropython.viper
def program(old: ptr8, new: ptr8, size: int):
    """NOR flash: bits can only fall."""
    for i in range(size):
        old[i] = int(old[i]) & int(new[i])


@micropython.viper
def xor_all(data: ptr8, size: int) -> int:
    """XOR of all bytes: the checksum of an app image's segment."""
    x = 0
    for i in range(size):
        x ^= int(data[i])
    return x
