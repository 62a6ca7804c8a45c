"""A board on Linux: flash file, bootloader process, real MicroPython."""
