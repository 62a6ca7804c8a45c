"""Runs one update of one board to its end, forks at the given operations, judges every fork.

stdin: one JSON object, the job (otasim/lab.py makes it). stdout: one JSON object per line: the uncut
run first, then one for each point.
"""

import json
import sys

from _board import layout, libc
from _board.second_stage import Bootloader, NothingBoots

from _lab import clockwork, ends, judge, server, world

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
        for operation, kind, seed, then, journal in job["points"]:
            points.setdefault(operation, []).append((kind, seed, then, journal))
        self.world = world.World(job["flash"], job["flash_size"], job["chip"], job["unit"], points)
        self.world.install()
        self.gate = self.world.the_gate
        self.gate.trace = job["trace"]
        self.gate.lost = self.lost
        self.server = server.Server(self.world, job)
        self.loader = Bootloader(self.world.flash, job["chip"], job["variant"], bytearray(job["buffer"]))
        self.world.loader = self.loader
        self.judge = judge.Judge(self.world, self.loader, job)
        self.boots = 0

    def to_the_end(self) -> str:
        """The outcome."""
        rtc, cause = self.world.rtc, layout.PWRON_RESET
        row = None
        for self.boots in range(1, _MAX_BOOTS + 1):
            rtc[layout.W_RESET_CAUSE], rtc[layout.W_WDT_TIMEOUT] = cause, 0
            try:
                if self.gate.power_on() and self.gate.point[4]:
                    self.world.fault_of_nvs(self.gate.point[4], self.gate.point[2])
                row, image = self.loader.run()
                self.judge.booted(row, image)
                self.keep_or_want(row)
                rtc[layout.W_RUNNING] = self.loader.rows.index(row)
                rtc[layout.W_WDT_TIMEOUT] = self.job["watchdog_ms"]
                self.firmware()
            except NothingBoots as error:
                self.judge.why = str(error)
                return judge.BRICK
            except ends.Settled:
                return self.judge.settled(row)
            except ends.Endless:
                break
            except ends.Ends as end:
                cause = end.cause
        return self.judge.worn_out()

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
        release = self.job["release"] if new else "good"
        self.server.reachable = release != "offline"
        if release != "hang":
            self.agent(self.app(release, new))
        # hung, or back at the REPL
        raise (ends.Bitten if self.world.rtc[layout.W_WDT_TIMEOUT] else ends.Stuck)

    def app(self, release: str, new: bool) -> str:
        """Name of the application's module."""
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
            "otadata_erases": self.gate.otadata_erases, "unmonitored": self.judge.unmonitored,
            "holes": self.gate.holes, "rewritten": self.gate.rewritten,
            "armed": self.judge.armed,
        }  # fmt: skip
        found.update(more)
        print(json.dumps(found))

    def lost(self, point: tuple, status: int) -> None:
        self.say("lost", point=point, why="the run ended with status %d" % status)


def remember_signatures() -> None:
    """The same signature over the same bytes by the same key is computed once, not in every fork.

    A pure function, and most of a run's time. Everything else of a run that is judged is done anew.
    """
    from otaspec import p256

    known, steps = {}, p256.steps

    def remembered(*args):
        key = tuple([bytes(a) if isinstance(a, (bytes, bytearray, memoryview)) else 0 for a in args])
        if key not in known:
            for found in steps(*args):
                pass
            known[key] = found
        yield known[key]

    p256.steps = remembered


def main() -> None:
    job = json.loads(sys.stdin.readline())
    if job["remember"]:
        remember_signatures()
    run = Run(job)
    outcome = run.to_the_end()
    if run.gate.point:  # a fork
        run.say(outcome, point=run.gate.point)
        libc.exit_now(0)
    run.say(outcome, reports=run.server.reports)


main()
