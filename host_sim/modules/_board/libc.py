"""The few calls of the C library that the board needs. They take no heap of the firmware."""

import ffi
import uctypes

_lib = ffi.open(None)
_open = _lib.func("i", "open", "sii")
_close = _lib.func("i", "close", "i")
_mmap = _lib.func("P", "mmap", "PLiiil")
_memset = _lib.func("P", "memset", "PiL")
_kill = _lib.func("i", "kill", "ii")
_prctl = _lib.func("i", "prctl", "iiiii")
_getpid = _lib.func("i", "getpid", "")
exit_now = _lib.func("v", "_exit", "i")  # no `finally`, no atexit: as on a reset
fork = _lib.func("i", "fork", "")
alarm = _lib.func("i", "alarm", "i")  # SIGALRM ends this process after so many seconds
_waitpid = _lib.func("i", "waitpid", "iPi")
_memcmp = _lib.func("i", "memcmp", "PPL")

_PR_SET_PDEATHSIG = 1
_SIGKILL = 9
_O_RDWR = 2
_PROT_READ_WRITE = 3
_MAP_SHARED = 1
_MAP_PRIVATE = 2


def map_file(path: str, size: int, private: bool = False) -> int:
    """Address of `size` mapped bytes of the file; private: changes stay in this process and its forks."""
    fd = _open(path, _O_RDWR, 0)
    if fd < 0:
        raise OSError(2, path)
    address = _mmap(0, size, _PROT_READ_WRITE, _MAP_PRIVATE if private else _MAP_SHARED, fd, 0)
    _close(fd)
    if address in (-1, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF):
        raise OSError(12, path)
    return address


def view(address: int, size: int) -> bytearray:
    """The mapped bytes themselves, not a copy."""
    return uctypes.bytearray_at(address, size)


def words(address: int, count: int):
    """The mapped bytes as an array of uint32."""
    return uctypes.struct(address, {"w": (uctypes.ARRAY | 0, count | uctypes.UINT32)}).w


def words_of(memory: bytearray):
    """The same over memory of ours, which must stay alive."""
    return words(uctypes.addressof(memory), len(memory) // 4)


def wait_for(child: int) -> int:
    """The wait status of a child that has ended: 0 if all went well."""
    status = bytearray(4)
    _waitpid(child, uctypes.addressof(status), 0)
    return int.from_bytes(status, "little")


def fill(address: int, value: int, size: int) -> None:
    _memset(address, value, size)


def same(a: int, b: int, size: int) -> bool:
    """Whether `size` bytes at two addresses are the same."""
    return _memcmp(a, b, size) == 0


def kill_self() -> None:
    """A power cut: SIGKILL, nothing runs after it."""
    _kill(_getpid(), _SIGKILL)


def die_with_parent() -> None:
    """A board does not outlive the simulator, however that ends."""
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
