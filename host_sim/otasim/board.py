"""A simulated board: bootloader process, firmware process, reset, again; until it is switched off."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otaboards.runtime import Runtime

from otasim import faults, parts
from otasim.files import BoardFiles
from otasim.parts import layout
from otasim.process import Process, watchdog

REPORT = "@driblet "  # a line of the console that begins so is JSON for whoever watches
_LOG_LIMIT = 4 << 20  # bytes of a console log; then it begins anew
_BOOTLOADER_HEAP = "2M"
_CAUSES = {1: "power-on", 2: "reset", 3: "watchdog", 4: "deep-sleep", 5: "soft-reset"}
_EXITS = {
    layout.EXIT_HARD: ("reset", layout.HARD_RESET),
    layout.EXIT_SOFT: ("soft-reset", layout.SOFT_RESET),
    layout.EXIT_CUT: ("power-cut", layout.PWRON_RESET),
    layout.EXIT_PANIC: ("panic", layout.HARD_RESET),
}


@dataclass(frozen=True)
class Event:
    """Something that happened on a board.

    kind, data:
    "boot" {count, cause}; "slot" {slot, image, writes}; "report" {what the firmware said};
    "console" {line}; "exit" {why, status, seconds}; "stopped" {why}
    why of "exit": reset, soft-reset, power-cut, watchdog, panic, crash, halted (the program ended: a
    real board would stand at its REPL). why of "stopped": off, nothing-boots, boots.
    """

    board: str
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Options:
    """bundle: folder with the firmware's code; None: it is unpacked from the booted image (LINUX_HOST).

    heap: as MicroPython's -X heapsize. watchdog_ms: left running by the bootloader; 0: stock ESP-IDF,
    whose bootloader's watchdog ends with the start of the application. variant: "stock" or
    "reference" bootloader. max_boots: then the board stops, 0: never.
    """

    bundle: Path | None = None
    unpack_into: Path | None = None
    heap: str = "256K"
    watchdog_ms: int = 9000
    variant: str = "stock"
    max_boots: int = 0


@dataclass
class _Ended:
    why: str
    cause: int
    status: int = 0
    said: dict[str, Any] = field(default_factory=dict)


def _ignore(_: Event) -> None:
    pass


class Board:
    """One board over its files. `run` until `switch_off`; other methods may be called meanwhile."""

    def __init__(
        self,
        files: BoardFiles,
        runtime: Runtime,
        options: Options = Options(),
        plan: faults.Faults = faults.NONE,
        on_event: Callable[[Event], None] = _ignore,
    ) -> None:
        self.files = files
        self.name = files.name
        self.rtc = files.open_rtc()
        self._runtime = runtime
        self._options = options
        self._on_event = on_event
        self._faults = plan
        self._cuts = faults.CutPlan(list(plan.cuts))
        self._stand_ins = parts.stand_ins(runtime)
        self._process: Process | None = None
        self._off = False
        self._cut = False
        self._wake = asyncio.Event()  # switched off or cut while halted

    # ---- to be called while it runs ----

    def switch_off(self) -> None:
        """For good: `run` returns."""
        self._off = True
        self._kill()

    def cut_power(self) -> None:
        """Now; the power comes back at once."""
        self._cut = True
        self.rtc[layout.W_POWER_CUTS] += 1
        self._kill()

    def plan_cut(self, cut: faults.Cut) -> None:
        """Adds a cut to the plan. Its operation counts from the board's first one."""
        self._cuts.cuts.append(cut)
        self._arm()

    @property
    def operations(self) -> int:
        """Flash and NVS operations completed so far, over all boots."""
        return self.rtc[layout.W_OPERATIONS]

    # ---- the life of a board ----

    async def run(self) -> str:
        """Why it stopped: "off", "nothing-boots" (a brick) or "boots" (Options.max_boots)."""
        timers = [asyncio.create_task(t) for t in self._timed_faults()]
        self.rtc[layout.W_STUCK_SECTOR] = (
            0 if self._faults.stuck_sector is None else self._faults.stuck_sector + 1
        )
        try:
            why = await self._live()
        finally:
            for timer in timers:
                timer.cancel()
            self._kill()
        self._emit("stopped", why=why)
        return why

    async def _live(self) -> str:
        cause = layout.PWRON_RESET
        booted: dict[str, Any] = {}
        boots = 0
        while not self._off:
            if cause != layout.SOFT_RESET:
                if self._options.max_boots and boots == self._options.max_boots:
                    return "boots"
                boots += 1
                ended = await self._boot(cause)
                if ended.why == "nothing-boots":
                    return ended.why
                if ended.why != "booted":
                    cause = ended.cause
                    continue
                booted = ended.said
            cause = (await self._firmware(booted)).cause
        return "off"

    async def _boot(self, cause: int) -> _Ended:
        """Runs the bootloader."""
        rtc = self.rtc
        rtc[layout.W_BOOTS] += 1
        rtc[layout.W_RESET_CAUSE] = cause
        self._emit("boot", count=rtc[layout.W_BOOTS], cause=_CAUSES[cause])
        said: list[str] = []
        arguments = ["-m", "_board.bootloader", self._options.variant, str(self._options.watchdog_ms)]
        unpack = self._options.unpack_into if self._options.bundle is None else None
        environment = {"DRIBLET_SIM_UNPACK": str(unpack)} if unpack else {}
        ended = await self._run_process(arguments, _BOOTLOADER_HEAP, environment, said.append)
        if rtc[layout.W_EXIT] == layout.EXIT_NOTHING_BOOTS:
            ended.why = "nothing-boots"
        elif rtc[layout.W_EXIT] == layout.EXIT_BOOT:
            ended = _Ended("booted", 0, 0, json.loads(said[-1]))
            self._emit("slot", **{k: ended.said[k] for k in ("slot", "image", "writes")})
            return ended
        elif ended.why == "halted":
            raise RuntimeError("the simulator's bootloader failed:\n" + "\n".join(said))
        self._emit("exit", why=ended.why, status=ended.status, seconds=0.0)
        return ended

    async def _firmware(self, booted: dict[str, Any]) -> _Ended:
        """Runs the firmware until it is reset, killed or at its end."""
        began = time.monotonic()
        bundle = self._options.bundle or Path(booted["bundle"])
        environment = {"DRIBLET_SIM_BUNDLE": str(bundle)}
        with self.files.log_file(_LOG_LIMIT) as log:

            def on_line(line: str) -> None:
                log.write(line + "\n")
                self._heard(line)

            ended = await self._run_process(["-m", "_board.start"], self._options.heap, environment, on_line)
        self._emit("exit", why=ended.why, status=ended.status, seconds=time.monotonic() - began)
        if ended.why == "halted":
            ended.cause = await self._stand_at_repl()
        self.rtc[layout.W_RESET_CAUSE] = ended.cause
        return ended

    async def _stand_at_repl(self) -> int:
        """Nobody feeds the watchdog there; without one the board stands until its power is cut."""
        bite = asyncio.create_task(watchdog(self.rtc))
        wake = asyncio.create_task(self._wake.wait())
        await asyncio.wait((bite, wake), return_when=asyncio.FIRST_COMPLETED)
        bitten = bite.done()
        for task in (bite, wake):
            task.cancel()
        self.rtc[layout.W_WDT_TIMEOUT] = 0
        cause: int = layout.WDT_RESET if bitten else layout.PWRON_RESET
        return cause

    async def _run_process(
        self, arguments: list[str], heap: str, environment: dict[str, str], on_line: Callable[[str], None]
    ) -> _Ended:
        rtc = self.rtc
        rtc[layout.W_EXIT] = layout.EXIT_NONE
        self._wake.clear()
        self._cut = False
        self._arm()
        self._process = await Process.start(
            self._runtime.command(arguments, heap=heap, path=[self._stand_ins]),
            self.files.environment() | environment,
            self.files.vfs,
            rtc,
            on_line,
        )
        if self._off:  # switched off while it was being started
            self._process.kill()
        status = await self._process.wait()
        return self._why(status)

    def _why(self, status: int) -> _Ended:
        code = self.rtc[layout.W_EXIT]
        if code == layout.EXIT_CUT:
            self._cuts.spent()
        if self._off:
            return _Ended("off", layout.PWRON_RESET, status)
        if code in _EXITS:
            why, cause = _EXITS[code]
        elif self._cut:
            why, cause = _EXITS[layout.EXIT_CUT]
        elif self._process and self._process.bitten:
            why, cause = "watchdog", layout.WDT_RESET
        elif status < 0:
            why, cause = "crash", layout.HARD_RESET
        else:
            why, cause = "halted", layout.PWRON_RESET
        if why != "soft-reset" and why != "halted":
            self.rtc[layout.W_WDT_TIMEOUT] = 0
        return _Ended(why, cause, status)

    # ---- faults and events ----

    def _arm(self) -> None:
        """Tells the process at which operation its power goes."""
        rtc = self.rtc
        cut = self._cuts.next_after(rtc[layout.W_OPERATIONS])
        rtc[layout.W_CUT_AT] = 0
        if cut:
            rtc[layout.W_CUT_KIND] = layout.CUT_NAMES.index(cut.kind)
            rtc[layout.W_CUT_SEED] = cut.seed
            rtc[layout.W_CUT_AT] = cut.operation

    def _timed_faults(self) -> list[Any]:
        return [self._cut_after(s) for s in self._faults.cut_seconds] + [
            self._offline(a, b) for a, b in self._faults.offline
        ]

    async def _cut_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.cut_power()

    async def _offline(self, begin: float, end: float) -> None:
        await asyncio.sleep(begin)
        self.rtc[layout.W_NETWORK_OFF] = 1
        await asyncio.sleep(end - begin)
        self.rtc[layout.W_NETWORK_OFF] = 0

    def _kill(self) -> None:
        self._wake.set()
        if self._process:
            self._process.kill()

    def _heard(self, line: str) -> None:
        if line.startswith(REPORT):
            with contextlib.suppress(ValueError):
                self._emit("report", **json.loads(line[len(REPORT) :]))
                return
        self._emit("console", line=line)

    def _emit(self, kind: str, **data: Any) -> None:
        self._on_event(Event(self.name, kind, data))
