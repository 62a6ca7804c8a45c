"""An emulated microcontroller: MicroPython's qemu port on RV32, its memory a file, its serial port a pty.

The agent and the contract are frozen into its firmware by the same manifest as on an ESP32. No network, no
asyncio and no Wi-Fi there: it is for what a small heap and a small CPU do to the decoder and the verifier.
"""

import contextlib
import json
import mmap
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from otaboards import debian

from otasim import mcu_tools

RAM = 0x80000000
RAM_SIZE = 128 << 20
FLASH = 0x84000000  # host_sim/mcu/lib/esp32.py
SLOTS = (0x10000, 0x210000)  # offsets in FLASH
SPARE = 0x85000000  # memory that nobody uses: packages, a ROM file system
_SOURCES = Path(__file__).resolve().parents[1] / "mcu"
_START = 20  # seconds until QEMU says which pty it is
_MEASURED = "@measured "


class McuError(Exception):
    """The board did not do what it was asked; the text is what it said."""


def firmware(progress: debian.Progress) -> Path:
    """The firmware with agent and contract frozen, built anew where a source changed (40 s at first).

    Raises RUNTIME_MISSING where compiler or sources cannot be had here, McuError where it does not build.
    """
    place = mcu_tools.folder(progress)
    progress("building the firmware of the emulated microcontroller")
    build = place / "firmware"
    if _stale(build / "firmware.elf"):
        shutil.rmtree(build, ignore_errors=True)
    words = {
        "BOARD": "VIRT_RV32",
        "BUILD": build,
        "FROZEN_MANIFEST": _SOURCES / "manifest.py",
        "USER_C_MODULES": _SOURCES,
        "MPY_LIB_DIR": place / "lib",
        "RV32_ARCH": "rv32imac",
        "PICOLIBC_SPECS": place / "picolibc.specs",
        "MICROPY_MPYCROSS": mcu_tools.mpy_cross(place),
        "MICROPY_MPYCROSS_DEPENDENCY": "",
        "MICROPY_VFS_LFS2": "1",
        "CFLAGS_EXTRA": "-DMICROPY_REPL_STDIN_BUFFER_MAX=2048",  # fewer round trips for what is sent to it
        "PYTHON": sys.executable,
    }
    made = subprocess.run(
        ["make", "-j2", *(f"{name}={value}" for name, value in words.items())],
        cwd=place / "micropython" / "ports" / "qemu",
        env=_environment(place) | {"AFLAGS": "-misa-spec=2.2"},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    if made.returncode:
        raise McuError("the firmware does not build:\n" + "\n".join(made.stderr.splitlines()[-12:]))
    return build / "firmware.elf"


def _stale(elf: Path) -> bool:
    """Whether a C module changed: MicroPython's make keeps frozen modules with strings' old numbers."""
    made = elf.stat().st_mtime if elf.is_file() else 0
    return any(path.stat().st_mtime > made for path in _SOURCES.glob("*/*.[cm]*"))


def _environment(place: Path) -> dict[str, str]:
    """Ours without what another `make` around this one left in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return kept | {"PATH": f"{place / 'bin'}:{os.environ['PATH']}"}


class Mcu:
    """A board that is switched on. Instructions are counted as nanoseconds: `measure` says how many."""

    def __init__(self, elf: Path, memory: Path | None = None, *, counted: bool = True) -> None:
        """`memory`: the file that its memory is, kept; else one of its own that goes with it.

        counted: False where nothing is measured: its serial port is many times faster then.
        """
        self._counting = " -icount shift=0" if counted else ""
        self._scratch = None if memory else tempfile.TemporaryDirectory(prefix="mcu-")
        self._file = memory or Path(str(self._scratch and self._scratch.name), "memory")
        with self._file.open("ab") as file:
            file.truncate(RAM_SIZE)
        with self._file.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), RAM_SIZE)
        self._child = subprocess.Popen(
            self._command(elf), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.port = self._find_port()

    def _command(self, elf: Path) -> list[str]:
        backend = f"memory-backend-file,id=ram,size={RAM_SIZE},mem-path={self._file},share=on"
        words = f"-bios none -machine virt,memory-backend=ram -object {backend} -nographic -monitor null"
        words += f" -semihosting{self._counting} -serial pty -kernel {elf}"
        return [str(elf.parents[1] / "bin" / "qemu-system-riscv32"), *words.split()]

    def _find_port(self) -> str:
        """The serial port that QEMU made."""
        out = self._child.stdout
        assert out is not None
        ready, _, _ = select.select([out], [], [], _START)
        line = out.readline().decode(errors="replace") if ready else ""
        found = re.search(r"/dev/pts/\d+", line)
        if not found:
            self.close()
            raise McuError(f"QEMU does not start: {line.strip()}")
        return found.group()

    def write(self, address: int, data: bytes) -> None:
        """Into its memory."""
        self._memory[address - RAM : address - RAM + len(data)] = data

    def read(self, address: int, size: int) -> bytes:
        """Out of its memory."""
        return self._memory[address - RAM : address - RAM + size]

    def run(self, code: str, timeout: float = 60) -> str:
        """Runs code on it with `mpremote run`, after a soft reset; what it printed. McuError if it raised."""
        with tempfile.TemporaryDirectory(prefix="mcu-") as scratch:
            script = Path(scratch, "script.py")
            script.write_text(code)
            return self.mpremote("run", str(script), timeout=timeout)

    def mpremote(self, *words: str, timeout: float = 60) -> str:
        """A command of mpremote on it; its output."""
        command = [sys.executable, "-m", "mpremote", "connect", self.port, *words]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            said = (late.stdout or b"").decode(errors="replace")[-500:]
            raise McuError(f"no answer within {timeout:g} s: {' '.join(words)}; until then: {said}") from late
        if done.returncode:
            raise McuError((done.stdout + done.stderr).strip())
        return done.stdout

    def boot(self) -> None:
        """What a chip does after a reset: its file system is mounted, NVS is there. A soft reset ends it."""
        self.mpremote("resume", "exec", "import _boot")

    def measure(self, code: str, timeout: float = 600) -> dict[str, Any]:
        """Runs code that ends in one of host_sim/mcu/lib/measure.py's functions; what it found."""
        out = self.run("import measure\n" + code, timeout)
        lines = [line for line in out.splitlines() if line.startswith(_MEASURED)]
        if len(lines) != 1:
            raise McuError(out.strip())
        found: dict[str, Any] = json.loads(lines[0].removeprefix(_MEASURED))
        return found

    def close(self) -> None:
        """Switches it off."""
        self._child.kill()
        self._child.communicate()
        self._memory.close()
        if self._scratch:
            self._scratch.cleanup()

    def __enter__(self) -> "Mcu":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextlib.contextmanager
def switched_on(progress: debian.Progress) -> Iterator[Mcu]:
    """A board with the firmware of this checkout, for a `with`."""
    with Mcu(firmware(progress)) as mcu:
        yield mcu
