"""Runs one update of one board to its end, forks at the given operations, judges every fork.

stdin: one JSON object, the job (otasim/lab.py makes it). stdout: one JSON object per line: the uncut
run first, then one for each point.
"""

import json
import sys

from _board import layout, libc
from _board.second_stage import Bootloader, NothingBoots

from _lab import clockwork, ends, judge, remember, server, undecided, world

_MAX_BOOTS = 40


class NoGc:
    """For the agent's care of its heap, which means nothing here and takes a third of a run."""

    @staticmethod
    def collect() -> None:
        pass

    @staticmethod
    def threshold(bytes: int) -> None:  # noqa: A002
        pass

    @staticmethod
    def mem_alloc() -> int:
        return 0


class Run:
    def __init__(self, job: dict) -> None:
        self.job = job
        points = {}
        for operation, kind, seed, faults, then, release in job["points"]:
            cuts = points.setdefault(operation, {})
            then = then and tuple(then)
            cuts.setdefault((kind, seed, faults), []).append((then, release))
        self.world = world.World(job["flash"], job["flash_size"], job["chip"], job["unit"], points)
        self.world.install()
        self.gate = self.world.the_gate
        self.gate.trace = job["trace"]
        if not [point for point in job["points"] if point[3]]:
            self.gate.remember = lambda: None  # nobody asks for an earlier NVS
        self.gate.lost = self.lost
        self.server = server.Server(self.world, job)
        self.loader = Bootloader(self.world.flash, job["chip"], job["variant"], bytearray(job["buffer"]))
        self.world.loader = self.loader
        self.judge = judge.Judge(self.world, self.loader, job)
        self.boots = self.tried = 0
        undecided.module = self.chosen

    def to_the_end(self) -> None:
        """Runs, and says what became of it."""
        self.verdicts(*self.run())

    def run(self) -> tuple:
        """(how it ended, row that ran last)."""
        rtc, cause = self.world.rtc, layout.PWRON_RESET
        row = None
        for self.boots in range(1, _MAX_BOOTS + 1):
            rtc[layout.W_RESET_CAUSE], rtc[layout.W_WDT_TIMEOUT] = cause, 0
            self.server.board_resets()
            try:
                if self.gate.power_on() and self.gate.point[3]:
                    self.world.fault_of_nvs(self.gate.point[3], self.gate.point[2])
                row, image = self.loader.run()
                self.judge.booted(row, image)
                if self.judge.running == judge.NEW:
                    self.new_boots()
                self.keep_or_want(row)
                rtc[layout.W_RUNNING] = self.loader.rows.index(row)
                rtc[layout.W_WDT_TIMEOUT] = self.job["watchdog_ms"]
                self.firmware()
            except NothingBoots as error:
                self.judge.why = str(error)
                return judge.NOTHING_BOOTS, row
            except ends.Settled:
                return judge.SETTLED, row
            except ends.Endless:
                break
            except ends.Ends as end:
                cause = end.cause
        return judge.WORN_OUT, row

    def new_boots(self) -> None:
        """Here one that hangs parts from the others, which are alike until their application is imported."""
        if self.judge.release:
            return
        self.tried = self.tried or self.world.rtc[layout.W_OPERATIONS]
        if not self.gate.point:
            self.judge.release = self.job["release"]
        elif self.gate.only("hang"):
            self.judge.release = "hang"

    def chosen(self) -> str:
        """Name of the application's module, for app_new: here releases part."""
        for name in set([release for _, release in self.gate.wanted()]):
            if self.gate.only(name):
                self.judge.release = name
                self.server.reachable = name != "offline"
                return self.app(name, True)

    def verdicts(self, end: str, row) -> None:
        """One for each point that this process has come to the end of."""
        gate = self.gate
        if not gate.point:
            self.say(self.judge.outcome(end, row, self.job["release"]), reports=self.server.reports)
            return
        for then, release in gate.wanted():  # second cuts too that the run was too short for
            then = then or gate.then
            self.say(self.judge.outcome(end, row, release), point=gate.point + (then, release))

    def keep_or_want(self, row) -> None:
        """The uncut run keeps the new image; the cut ones want it, from their first boot on."""
        path, size = self.job["wanted"], self.job["new_size"]
        if not self.job["points"]:
            if self.judge.running == judge.NEW:
                self.world.save(path, row, size)
        elif self.boots == 1 and path:
            slots = [r for r in self.loader.rows if r.type == 0 and r.subtype >= 0x10]
            self.world.want(path, slots[slots[0] is row].offset, size)

    def firmware(self) -> None:
        """Returns never: each boot ends in one of `ends`."""
        new = self.judge.running == judge.NEW
        release = self.judge.release if new else judge.GOOD
        self.server.reachable = release != "offline"
        if release != "hang":
            self.agent(self.app(release, new))
        # hung, or back at the REPL
        raise (ends.Bitten if self.world.rtc[layout.W_WDT_TIMEOUT] else ends.Stuck)

    def app(self, release: str, new: bool) -> str:
        """Name of the application's module."""
        if not release:
            return "app_new"
        if release in ("self_test", "import", "hang_late"):
            return "app_" + release
        return self.job["app"] if new else "app_good"

    def agent(self, app: str) -> None:
        clockwork.start(self.world.rtc)
        from otaagent import agent, boot, http, update

        http.Client = server.Client
        for module in (agent, boot, update):
            module.gc = NoGc
        server.Client.server = self.server
        sys.modules.pop(app, None)
        try:
            boot.run(app)
        except Exception as error:
            if self.job["trace"]:
                sys.print_exception(error, sys.stderr)

    def say(self, outcome: str, **more) -> None:
        rtc = self.world.rtc
        found = {
            "outcome": outcome, "why": self.judge.why, "boots": self.boots, "cuts": self.gate.cuts,
            "operations": rtc[layout.W_OPERATIONS], "bytes": self.server.sent,
            "erases": rtc[layout.W_ERASES] - self.gate.otadata_erases,
            "otadata_erases": self.gate.otadata_erases, "unmonitored": self.judge.unmonitored(),
            "holes": self.gate.holes, "rewritten": self.gate.rewritten,
            "tried": self.tried,
        }  # fmt: skip
        found.update(more)
        print(json.dumps(found))

    def lost(self, point: tuple, status: int) -> None:
        self.say("lost", point=point, why="the run ended with status %d" % status)


def main() -> None:
    job = json.loads(sys.stdin.readline())
    run = Run(job)
    if job["remember"]:
        remember.signatures()
        remember.mac_keys()
        remember.nvs_as_written()
        remember.images(run.world.known_images(job))
    run.to_the_end()
    if run.gate.point:  # a fork
        libc.exit_now(0)


main()
