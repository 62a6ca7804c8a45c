// The clock of QEMU's RISC-V "virt" machine, for the file system's time stamps. The port has none.
// mtime of the CLINT counts 10 MHz (qemu/hw/riscv/virt.c).
#include <stdint.h>

uint64_t mp_hal_time_ns(void) {
    volatile uint32_t *mtime = (uint32_t *)0x0200BFF8;
    uint32_t high, low;
    do {
        high = mtime[1];
        low = mtime[0];
    } while (high != mtime[1]);
    return (((uint64_t)high << 32) | low) * 100;
}
