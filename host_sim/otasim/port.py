"""A simulated board on a serial port: raw REPL answers there, so that mpremote's own code drives it.

The bootloader runs at each reset; then the board stands at its REPL and no main.py is started.
"""

import contextlib
import json
import os
import pty
import select
import subprocess
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

from otaboards import runtime

from otasim import parts
from otasim.files import BoardFiles
from otasim.parts import layout

_RESETS = (layout.EXIT_HARD, layout.EXIT_SOFT)
_SERVE = "from _board import raw_repl; raw_repl.run()"


@contextlib.contextmanager
def on_a_port(board: BoardFiles, unpack_into: Path | None = None) -> Iterator[str]:
    """The name of its port, for as long as it is switched on.

    unpack_into: folder for the code of its image, which is then there as frozen modules are (LINUX_HOST).
    """
    host, device = pty.openpty()
    tty.setraw(device)
    life = _Life(board, device, unpack_into)
    life.start()
    try:
        with _bridge(host) as name:
            yield name
    finally:
        life.switch_off()
        os.close(device)
        os.close(host)


class _Life(threading.Thread):
    """Boots, and boots again after each reset."""

    def __init__(self, board: BoardFiles, device: int, unpack_into: Path | None) -> None:
        super().__init__(daemon=True)
        self._board = board
        self._device = device
        self._unpack = {"DRIBLET_SIM_UNPACK": str(unpack_into)} if unpack_into else {}
        self._runtime = runtime.find()
        self._path = [parts.stand_ins(self._runtime)]
        self._rtc = board.open_rtc()
        self._off = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        again = True
        while again and not self._off.is_set():
            frozen = self._boot()
            self._rtc[layout.W_EXIT] = layout.EXIT_NONE
            path = ":".join(str(part) for part in (*self._path, *frozen, "lib", ".", ".frozen"))
            self._child = self._start(["-c", _SERVE], self._device, {"MICROPYPATH": path})
            if self._off.is_set():
                self._child.kill()
            self._child.wait()
            again = self._rtc[layout.W_EXIT] in _RESETS

    def _boot(self) -> list[str]:
        """Where the code of the image lies, if anywhere."""
        words = ["-m", "_board.bootloader", "stock", "0"]
        path = {"MICROPYPATH": str(self._path[0])}
        with self._start(words, subprocess.PIPE, path | self._unpack, heap="2M") as loader:
            said, _ = loader.communicate()
        found = json.loads(said.splitlines()[-1])
        return [found["bundle"]] if "bundle" in found else []

    def _start(
        self, words: list[str], terminal: int, more: dict[str, str], heap: str = "256K"
    ) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self._runtime.command(words, heap=heap),
            stdin=subprocess.DEVNULL if terminal == subprocess.PIPE else terminal,
            stdout=terminal,
            stderr=subprocess.DEVNULL if terminal == subprocess.PIPE else terminal,
            cwd=self._board.vfs,
            env=self._board.environment() | more,
        )

    def switch_off(self) -> None:
        self._off.set()
        if self._child:
            self._child.kill()
        self.join()
        self._rtc.close()


@contextlib.contextmanager
def _bridge(host: int) -> Iterator[str]:
    """The far end of the board's terminal as a terminal of its own, which mpremote may open."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    name = os.ttyname(theirs)
    stop = threading.Event()

    def carry() -> None:
        while not stop.is_set():
            ready, _, _ = select.select([host, ours], [], [], 0.05)
            for one in ready:
                try:
                    data = os.read(one, 4096)
                    os.write(ours if one == host else host, data)
                except OSError:
                    return

    thread = threading.Thread(target=carry, daemon=True)
    thread.start()
    try:
        yield name
    finally:
        stop.set()
        thread.join()
        os.close(theirs)
        os.close(ours)
