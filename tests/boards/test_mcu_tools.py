"""What is taken of the packages that the emulated microcontroller is built with."""

import pytest
from otasim import mcu_tools


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("usr/lib/picolibc/riscv64-unknown-elf/lib/rv32imac/ilp32/libc.a", True),
        ("usr/lib/picolibc/riscv64-unknown-elf/lib/rv64imac/lp64/libc.a", False),
        ("usr/lib/picolibc/riscv64-unknown-elf/include/stdio.h", True),
        ("usr/lib/gcc/riscv64-unknown-elf/12.2.0/cc1", True),
        ("usr/lib/gcc/riscv64-unknown-elf/12.2.0/rv32imac/ilp32/libgcc.a", True),
        ("usr/lib/gcc/riscv64-unknown-elf/12.2.0/rv32e/ilp32e/libgcc.a", False),
        ("usr/bin/qemu-system-riscv32", True),
        ("usr/bin/qemu-system-xtensa", False),
        ("usr/bin/riscv64-unknown-elf-gcc", True),
        ("usr/lib/x86_64-linux-gnu/libisl.so.23", True),
        ("usr/share/doc/qemu/README", False),
        ("etc/passwd", False),
    ],
)
def test_only_what_is_needed_is_unpacked(name: str, wanted: bool) -> None:
    assert mcu_tools._wanted(name) is wanted
