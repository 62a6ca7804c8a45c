"""The board's RTC memory: a file that the board's processes and their parent map (words are uint32, native).

It stands for what survives a reset on a chip (reset cause, watchdog) and holds what a test bench
would measure (operation counts, wear). Read by MicroPython and by CPython; host_sim/README.md
describes it. A number here is the index of a word.
"""

MAGIC = 0x43545244  # "DRTC"
VERSION = 1

W_MAGIC = 0
W_VERSION = 1
W_FLASH_SIZE = 2  # bytes
W_WRITE_UNIT = 3  # bytes: 1, 16 or 32
W_UNIQUE_ID = 4  # and 5: the six bytes that machine.unique_id() returns
W_CHIP_ID = 6  # ESP-IDF's esp_chip_id_t: images for another chip do not verify

# What happened so far, over the life of the file.
W_BOOTS = 8
W_POWER_CUTS = 9
W_OPERATIONS = 10  # completed page programs + sector erases + NVS writes
W_PROGRAMS = 11
W_ERASES = 12
W_NVS_WRITES = 13
W_PANICS = 14
W_VIOLATIONS = 15  # uses of the flash that a chip would not forgive: always 0 for sound firmware
W_HEAP_PEAK = 20  # bytes: highest gc.mem_alloc() seen at an erase or an NVS write, garbage included

# This boot.
W_RESET_CAUSE = 16
W_RUNNING = 17  # index of the running partition in the partition table
W_EXIT = 18  # why the process ended: one of EXIT_*
W_NETWORK_OFF = 19  # 1: network.WLAN is not connected

# The watchdog. The parent counts the time; a feed only moves a counter.
W_WDT_TIMEOUT = 24  # ms, 0: not running
W_WDT_FEEDS = 25

# A planned power cut: the process kills itself at operation W_CUT_AT (first operation: 1).
W_CUT_AT = 32  # 0: none
W_CUT_KIND = 33
W_CUT_SEED = 34
W_STUCK_SECTOR = 35  # sector number + 1 whose first bit stays 0 when erased; 0: none

# Cells that a torn operation left undecided: a count, then pairs (address, bit mask).
W_UNSTABLE = 40
W_UNSTABLE_CELLS = 41
UNSTABLE_MAX = 64

W_WEAR = 1024  # erase count of each sector from here on

SECTOR = 4096
PAGE = 256

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5

EXIT_NONE = 0  # the program ended by itself: a real board would stand at its REPL
EXIT_HARD = 1
EXIT_SOFT = 2
EXIT_CUT = 3
EXIT_PANIC = 4  # abort() of ESP-IDF
EXIT_BOOT = 5  # the bootloader chose a partition
EXIT_NOTHING_BOOTS = 6

OP_ERASE = 1
OP_PROGRAM = 2
OP_NVS = 3

CUT_BEFORE = 1
CUT_AFTER = 2
CUT_PREFIX = 3  # the first words only: in order
CUT_SUBSET = 4  # some words
CUT_BITS = 5  # some bits
CUT_POISON = 6  # noise all over
CUT_METASTABLE = 7  # some bits, some of which read differently each time
CUT_NAMES = ("none", "before", "after", "prefix", "subset", "bits", "poison", "metastable")


def rtc_size(flash_size: int) -> int:
    """Bytes of the RTC file of a board with `flash_size` bytes of flash."""
    return 4 * (W_WEAR + flash_size // SECTOR)
