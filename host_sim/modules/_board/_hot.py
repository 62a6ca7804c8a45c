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
    words = ptr32(data)
    x = 0
    i = 0
    n = size >> 2
    while i + 4 <= n:  # four at a time: this is half of a boot
        x ^= int(words[i]) ^ int(words[i + 1]) ^ int(words[i + 2]) ^ int(words[i + 3])
        i += 4
    i *= 4
    x ^= x >> 16
    x ^= x >> 8
    while i < size:
        x ^= int(data[i])
        i += 1
    return x & 0xFF
