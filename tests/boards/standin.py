"""A simulated board on a pty that speaks MicroPython's raw REPL, so that mpremote's own code drives it."""

import os
import pty
import subprocess
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from otaboards import runtime
from otasim import parts
from otasim.files import BoardFiles

from tests import simulated


@contextmanager
def on_a_port(board: BoardFiles) -> Iterator[str]:
    """The name of its port, for as long as it is switched on."""
    rtc = board.open_rtc()
    rtc[parts.layout.W_RUNNING] = 2
    rtc[parts.layout.W_EXIT] = 0
    rtc.close()
    host, device = pty.openpty()
    tty.setraw(device)
    found = runtime.find()
    words = found.command(["-c", "from _board import raw_repl; raw_repl.run()"])
    path = {"MICROPYPATH": f"{parts.stand_ins(found)}:lib:.:.frozen"}
    child = subprocess.Popen(
        words, stdin=device, stdout=device, stderr=device, cwd=board.vfs, env=board.environment() | path
    )
    try:
        with _bridge(host) as name:
            yield name
    finally:
        child.kill()
        child.wait()
        os.close(device)
        os.close(host)


@contextmanager
def _bridge(host: int) -> Iterator[str]:
    """The far end of the board's terminal as a terminal of its own, which mpremote may open."""
    import select
    import threading

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


def blank(folder: Path) -> BoardFiles:
    """A board fresh from the factory."""
    return simulated.new_board(folder, settings={})
