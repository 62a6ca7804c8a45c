"""Boards that are attacked, one a line: the real agent in this process, a hostile server behind its sockets.

stdin: the job, then a case a line (tests/attack/bench.py makes them). Each case runs in
a fork of its own, on flash of its own. stdout: what became of each, as a JSON object.
"""

import asyncio
import json
import os
import sys
from binascii import hexlify, unhexlify

import webs
from _board import layout, libc
from _board.otaspec import boot as contract
from _board.second_stage import Bootloader, NothingBoots
from _lab import clockwork, ends, world

_MAX_BOOTS = 12
_HEAD = 32
_BUFFER = bytearray(16384)


class RootKeys:
    """The module `root_keys` of the firmware."""


class NoGc:
    """For the agent's care of its heap, which means nothing here and takes most of a run."""

    collect = threshold = staticmethod(lambda *_: None)
    mem_alloc = staticmethod(lambda: 0)


class Run:
    """One case on a board whose flash this process has for itself."""

    def __init__(self, job: dict, board: object, case: dict) -> None:
        self.world = board
        self.loader = Bootloader(self.world.flash, job["chip"], contract.STOCK, _BUFFER)
        self.codes = []  # what the agent says stopped it
        self.server = webs.Server(self, job, case)
        self.settings = case["settings"]
        sys.modules.pop("root_keys", None)
        if case["roots"]:
            sys.modules["root_keys"] = RootKeys
            RootKeys.SET = unhexlify(case["roots"])
        self._put(case["nvs"])
        self.home = self._boots()
        self.before = self._heads()
        self.writes = self.world.rtc[layout.W_PROGRAMS] + self.world.rtc[layout.W_ERASES]
        self.operations = 0  # begun, the restart after a cut included
        self._cut_at, self._kind = case["cut"]
        self._dump = case["dump"]
        self._begin = self.world.the_gate.begin
        self.world.the_gate.begin = self._counted

    def _counted(self, what: int, at: int) -> int:
        """Cuts the power at the operation that the case names."""
        self.operations += 1
        self._begin(what, at)
        return self._kind if self.operations == self._cut_at else 0

    def _put(self, blobs: dict) -> None:
        import esp32

        store = esp32.NVS("driblet")
        for name in blobs:
            store.set_blob(name, unhexlify(blobs[name]))
        store.commit()

    def _boots(self) -> str:
        """Hash of the image that the contract's bootloader takes now; empty: a brick."""
        try:
            row, image = self.loader.run()
        except NothingBoots:
            return ""
        self.row = row
        return hexlify(self.loader.digest(row, image.size)).decode()

    def _heads(self) -> list:
        """The first bytes of both slots."""
        return [bytes(self.world.flash.window(r.offset, _HEAD)) for r in self.loader.rows if r.type == 0]

    def _slot(self) -> str:
        """What the other slot holds, as far as the case wants to see it."""
        row = [r for r in self.loader.rows if r.type == 0][1]
        return hexlify(bytes(self.world.flash.window(row.offset, self._dump))).decode()

    def to_the_end(self) -> dict:
        rtc, cause = self.world.rtc, layout.PWRON_RESET
        for _ in range(_MAX_BOOTS):
            rtc[layout.W_RESET_CAUSE], rtc[layout.W_WDT_TIMEOUT] = cause, 0
            self.world.the_gate.cuts = 0  # no second one is planned
            self.world.the_gate.power_on()
            try:
                if not self._boots():
                    break
                rtc[layout.W_RUNNING] = self.loader.rows.index(self.row)
                self._firmware()
            except ends.Settled:
                return self._result()
            except ends.Ends as end:
                cause = end.cause
        self.codes.append(-1)
        return self._result()

    def _firmware(self) -> None:
        clockwork.start(self.world.rtc)
        from otaagent import agent, boot, http, log, update

        for module in (agent, boot, update):
            module.gc = NoGc
        http.socket = webs.Sockets
        asyncio.StreamReader = webs.Stream
        webs.Stream.server = self.server
        log.Log = self._log_of(log.Log)
        sys.modules.pop("app_good", None)
        boot.run("app_good", self.settings)
        raise ends.Stuck

    def _log_of(self, base):
        """The agent's log, which also tells us what it failed with."""
        run = self

        class Log(getattr(base, "base", base)):
            def __call__(self, *words) -> None:
                super().__call__(*words)
                if words[0] in ("failed:", "no update now:"):
                    run.codes.append(words[1].code)
                if words[0] == "no update now:":
                    raise ends.Settled

            def exception(self, what, e) -> None:
                super().exception(what, e)
                if not isinstance(e, MemoryError):
                    run.codes.append(-2)

        Log.base = getattr(base, "base", base)
        return Log

    def _result(self) -> dict:
        from otaagent.journal import FLOOR, KEYS, TRIAL, Journal
        from otaspec import journal

        book = Journal()
        kept, floor = book.get(KEYS), book.get(FLOOR)
        boots = self._boots()
        heads = self._heads()
        other = [k for k in range(len(heads)) if heads[k] != self.before[k]]
        words = self.world.rtc
        return {
            "codes": self.codes,
            "boots": "old" if boots == self.home else "brick" if not boots else "another",
            "head": "blank"
            if [1 for k in other if heads[k] == b"\xff" * _HEAD]
            else "written"
            if other
            else "",
            "writes": words[layout.W_PROGRAMS] + words[layout.W_ERASES] - self.writes,
            "violations": words[layout.W_VIOLATIONS] + words[layout.W_PANICS],
            "reports": self.server.reports,
            "sent": self.server.sent,
            "floor": [journal.floor(floor, book.get(TRIAL)), floor["key_set"]],
            "tables": len(kept["tables"]) if kept else 0,
            "operations": self.operations,
            "slot": self._slot(),
            "unpacked": unpacked(),
        }


def unpacked() -> list:
    """Of bundles; what waits for its hash to be checked is not."""
    try:
        return [name for name in os.listdir("bundle") if not name.endswith(".bin")]
    except OSError:
        return []


def leave_out(check: str) -> None:
    """The agent without one of its checks: so a test sees that the cases notice."""
    from otaagent import fetch, http, update
    from otaspec import cose, verify

    def nothing(*_) -> None:
        pass

    if check == "signature":
        cose.Signed.steps = lambda *_: iter(())
    elif check in ("target", "order", "image", "payload"):
        kept = verify.check

        def without(m, facts) -> None:
            step = getattr(verify, "_check_" + check)
            setattr(verify, "_check_" + check, nothing)
            kept(m, facts)
            setattr(verify, "_check_" + check, step)

        verify.check = without
    elif check == "bootable":
        update.Update._check_bootable = nothing
    elif check == "pace":
        http.Pace.count = nothing
    elif check == "etag":
        fetch.Package._pin = nothing
    elif check == "answer":
        from otaspec import mac

        mac.equal = lambda *_: True


def main() -> None:
    job = json.loads(sys.stdin.readline())
    board = world.World(job["flash"], job["flash_size"], job["chip"], 1, {})
    board.install()
    # Before the forks: each would load them anew.
    import otaagent.boot  # noqa: F401
    import otaagent.chunks  # noqa: F401
    import otaagent.keys  # noqa: F401
    import otaagent.trial  # noqa: F401
    import otaspec.address  # noqa: F401
    import otaspec.bsdiff  # noqa: F401

    leave_out(job["without"])
    while True:
        line = sys.stdin.readline()
        if not line:
            break
        child = libc.fork()  # flash and modules are shared until somebody writes
        if not child:
            libc.alarm(60)
            case = json.loads(line)
            try:
                print(json.dumps({"name": case["name"], "found": Run(job, board, case).to_the_end()}))
            except BaseException as e:
                sys.print_exception(e, sys.stderr)
                libc.exit_now(1)
            libc.exit_now(0)
        if libc.wait_for(child):
            print(json.dumps({"name": "", "found": {"codes": [-3]}}))


main()
