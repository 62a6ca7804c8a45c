"""One process of a board: its console, and the watchdog that its parent enforces."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from otasim.parts import layout
from otasim.rtc import Rtc

_LONGEST_LINE = 65536


class Process:
    """Started by `start`; `wait` returns when it has ended. Lines of its console go to `on_line`."""

    def __init__(self, child: asyncio.subprocess.Process, rtc: Rtc, on_line: Callable[[str], None]) -> None:
        self._child = child
        self._rtc = rtc
        self._on_line = on_line
        self.bitten = False  # by the watchdog

    @staticmethod
    async def start(
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        rtc: Rtc,
        on_line: Callable[[str], None],
    ) -> "Process":
        child = await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the simulator, not for its boards
        )
        return Process(child, rtc, on_line)

    def kill(self) -> None:
        """The power is gone. By the child's own handle: its number may have become somebody else's."""
        with contextlib.suppress(ProcessLookupError):
            self._child.kill()

    async def wait(self) -> int:
        """Exit status; negative: the signal that ended it."""
        guard = asyncio.create_task(self._watch())
        try:
            await self._read_console()
            return await self._child.wait()
        finally:
            guard.cancel()
            if self._child.returncode is None:
                self.kill()
                await self._child.wait()

    async def _watch(self) -> None:
        await watchdog(self._rtc)
        self.bitten = True
        self.kill()

    async def _read_console(self) -> None:
        assert self._child.stdout is not None
        rest = b""
        while piece := await self._child.stdout.read(4096):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                self._on_line(line.decode(errors="replace").rstrip("\r"))
            rest = rest[-_LONGEST_LINE:]
        if rest:
            self._on_line(rest.decode(errors="replace"))


async def watchdog(rtc: Rtc) -> None:
    """Returns when the watchdog bites: it runs and was not fed for its timeout.

    A feed only moves a counter in the RTC memory; the time is counted here, so that the device's
    side costs no system call. A long timeout is looked at less often: it may bite late, by a
    fortieth and 2 s at most.
    """
    seen, since = (-1, -1), time.monotonic()
    while True:
        timeout = rtc[layout.W_WDT_TIMEOUT]
        now = (timeout, rtc[layout.W_WDT_FEEDS])
        if now != seen:
            seen, since = now, time.monotonic()
        left = timeout / 1000 - (time.monotonic() - since)
        if timeout and left <= 0:
            return
        await asyncio.sleep(pause_of(timeout, left))


def pause_of(timeout: int, left: float) -> float:
    """Seconds until the next look at a watchdog of `timeout` ms, 0: it does not run; it bites in `left` s."""
    return min(max(left, 0.005), max(timeout / 40_000, 0.1), 2) if timeout else 0.1
