"""Some days of one board's life: rollouts, a bad network, power cuts. Says how it went, and keeps its flash.

stdin: one JSON object, the job (driblet/soak.py makes it). stdout: one JSON object. The agent, the
bootloader, the flash and the protocol are real; time and the sockets are not (as everywhere in the lab).
"""

import gc
import json
import os
import sys
import time
from binascii import hexlify, unhexlify

from _board import layout, libc
from _board.second_stage import Bootloader, NothingBoots
from otaspec import mac
from otaspec.errors import error

from _lab import clockwork, ends, server, world

_UNREACHABLE, _TIMEOUT = 301, 302
_FINAL = ("confirmed", "reverted", "failed")
_APPS = {
    "good": "app_good",
    "self_test": "app_self_test",
    "import": "app_import",
    "hang_late": "app_hang_late",
}
_SAMPLE = 240  # polls between two looks at the heap: four hours
_THRESHOLD = 200_000  # bytes between two collections: at the agent's 8 KB they take two thirds of the time
_FIRST = 60  # polls of an uptime before the first look: an hour


class Dice:
    """The same numbers for the same seed, on every machine. Not MicroPython's, which its port may change."""

    def __init__(self, seed: int) -> None:
        self._state = seed * 2654435761 & 0x3FFFFFFF | 1

    def below(self, n: int) -> int:
        self._state = (self._state * 1103515245 + 12345) & 0x7FFFFFFF
        return (self._state >> 12) % n


class Cloud(server.Server):
    """Offers one release after the other, each until its final report came; the network fails at times."""

    def __init__(self, its_world, job: dict, dice: Dice) -> None:
        self._job = job
        self._world = its_world
        self._dice = dice
        self.reachable = True
        self.sent = self.polls = self.faults = self.offered = 0
        self.finals = []  # [seq, state, code]
        self.twice = 0  # reports that were sent again, and counted once
        self._seen = bytearray(8192)  # a bit for each id: nothing here may grow, as the heap is measured
        self._last = job["last_report"]
        self._releases = job["releases"]
        self._package = {}
        for release in self._releases:
            for path, size in release["packages"].values():
                self._package[path] = memoryview(libc.view(libc.map_file(path, size), size))

    def answer(self, method: str, path: str, headers: dict, body: bytes):
        dice = self._dice
        if not dice.below(self._job["fault_every"]):
            self.faults += 1
            kind = dice.below(4)
            if kind == 0:
                raise error(_UNREACHABLE, "soak")
            if kind == 1:
                raise error(_TIMEOUT, "soak")
            if kind == 2:
                return 503, {"retry-after": "30"}, b"{}"
            return 500, {}, b"{}"
        if path == "/v1/login":
            found = {"token": "t", "expires_in": 3600, "poll_interval": 60, "last_report": self._last}
            return 200, {}, json.dumps(found).encode()
        return server.Server.answer(self, method, path, headers, body)

    def _report(self, doc: dict) -> dict:
        for report in doc["reports"]:
            number = report["id"]
            if self._seen[number // 8 % 8192] & 1 << number % 8:
                self.twice += 1
                continue
            self._seen[number // 8 % 8192] |= 1 << number % 8
            self._last = max(self._last, number)
            if report["state"] in _FINAL:
                self.finals.append([report["seq"], report["state"], report["code"]])
        return {"accepted": [report["id"] for report in doc["reports"]]}

    def _poll(self, doc: dict):
        self.polls += 1
        release = self._due()
        offer = None
        if release and doc["state"] != "pending-verify":
            packages = release["packages"]
            base = doc["image_sha256"] if doc["image_sha256"] in packages else ""
            path, size = packages[base]
            offer = {name: release[name] for name in ("seq", "version")}
            offer.update(
                {"rollout": release["seq"], "url": "/v1/packages/" + path.split("/")[-1], "size": size}
            )
            offer["etag"] = '"%s"' % path.split("/")[-1]
            self.offered = max(self.offered, release["seq"])
        body = json.dumps({"time": time.time(), "poll_interval": 60, "update": offer}).encode()
        job = self._job
        proof = mac.answer(unhexlify(job["ds"]), job["pk"], job["dn"], unhexlify(doc["nonce"]), body)
        return 200, {"driblet-mac": hexlify(proof).decode()}, body

    def _due(self) -> "dict | None":
        done = [final[0] for final in self.finals]
        for release in self._releases:
            if release["seq"] not in done:
                return release if time.elapsed_ms() >= release["at"] * 1000 else None
        return None

    def _get(self, headers: dict, path: str = ""):
        raise NotImplementedError

    def get(self, path: str, headers: dict):
        package = next(data for name, data in self._package.items() if name.endswith(path))
        at = int(headers.get("Range", "bytes=0-")[6:].split("-")[0])
        size = len(package)
        found = {"etag": '"%s"' % path, "content-range": "bytes %d-%d/%d" % (at, size - 1, size)}
        return 206 if at else 200, found, package[at:]


class Client(server.Client):
    """A download may break at any read."""

    async def open(self, method: str, url: str, headers=(), body: bytes = b"") -> int:
        cloud = server.Client.server
        if method != "GET":
            return await server.Client.open(self, method, url, headers, body)
        cloud.answer("POST", "/v1/log", {}, b"")  # may fail as any call
        name = url.split("/")[-1]
        self.status, self.headers, self._body = cloud.get(name, dict(headers or {}))
        self._at = 0
        return self.status

    async def readinto(self, mv) -> int:
        cloud = server.Client.server
        if not cloud._dice.below(cloud._job["break_every"]):
            cloud.faults += 1
            raise error(_UNREACHABLE, "soak: the download broke")
        return await server.Client.readinto(self, mv)


class Cuts(clockwork.Clockwork):
    """The power also goes while the board waits: 2.6 million times in thirty days, once a second."""

    at = 0  # ms
    until = 0

    def wait_io_event(self, ms: int) -> None:
        now = time.elapsed_ms()
        if now + ms >= Cuts.until:
            raise ends.Settled
        if Cuts.at and now >= Cuts.at:
            Cuts.at = 0
            raise ends.PowerCut
        clockwork.Clockwork.wait_io_event(self, ms)


class Soak:
    def __init__(self, job: dict) -> None:
        self.job = job
        self.dice = Dice(job["seed"])
        self.world = world.World(job["flash"], job["flash_size"], job["chip"], job["unit"], {})
        self.world.remember = self.world.the_gate.remember = lambda: None  # nothing here may grow
        self.world.install()
        self.gate = self.world.the_gate
        self.cloud = Cloud(self.world, job, self.dice)
        self.loader = Bootloader(self.world.flash, job["chip"], "stock", bytearray(16384))
        self.boots = self.cuts = 0
        self.heap = []  # [seconds of uptime, bytes] of the longest uptime
        self._looks = []
        self._next_look = 0
        Cuts.until = job["seconds"] * 1000
        time.LONGEST_MS = Cuts.until + 1000
        time._EPOCH += job["began"]

    def run(self) -> dict:
        rtc, cause = self.world.rtc, layout.PWRON_RESET
        outcome = "ok"
        while True:
            self.boots += 1
            rtc[layout.W_RESET_CAUSE], rtc[layout.W_WDT_TIMEOUT] = cause, 0
            try:
                self.gate.power_on()
                self.plan_cuts()
                row, image = self.loader.run()
                running = hexlify(self.loader.digest(row, image.size)).decode()
                rtc[layout.W_RUNNING] = self.loader.rows.index(row)
                rtc[layout.W_WDT_TIMEOUT] = 8000
                self.firmware(self.job["images"].get(running, "unknown"))
                cause = layout.WDT_RESET
            except NothingBoots as e:
                outcome = "brick: %s" % e
                break
            except (ends.Settled, ends.Endless):
                break
            except ends.Ends as end:
                cause = end.cause
                self.cuts += cause == layout.PWRON_RESET
            self.keep_looks()
        self.keep_looks()
        return self.said(outcome, rtc)

    def plan_cuts(self) -> None:
        """One to come, at an operation or at a time; more of both than a real supply has."""
        dice = self.dice
        done = self.world.rtc[layout.W_OPERATIONS]
        self.gate.point = (0, 0, 0, 0)
        self.gate.due, self.gate._in_work, self.gate.holes = {}, (), []
        if not dice.below(2):
            kind = dice.below(len(layout.CUT_NAMES) - 1) + 1
            self.gate.due = {done + 1 + dice.below(300): [((0, kind, dice.below(1000)), [])]}
        else:
            Cuts.at = time.elapsed_ms() + dice.below(self.job["cut_seconds"]) * 1000

    def firmware(self, kind: str) -> None:
        if kind == "unknown":
            raise NothingBoots("an image that nobody made")
        clockwork.Clockwork._feeds = -1
        clockwork.start(self.world.rtc)
        from asyncio import core

        core.IOQueue = Cuts
        Cuts.rtc = self.world.rtc
        import asyncio

        asyncio.new_event_loop()
        from otaagent import agent, boot, http

        http.Client = Client
        server.Client.server = self.cloud
        agent.Agent._look = self.look(agent.Agent)
        self._next_look = self.cloud.polls + _FIRST
        sys.modules.pop(_APPS[kind], None)
        try:
            boot.run(_APPS[kind])
        except Exception as e:
            sys.print_exception(e, sys.stderr)

    def look(self, agent_class):
        """The agent's own poll, and now and then a look at the heap."""
        real = getattr(agent_class, "_real_look", None) or agent_class._look
        agent_class._real_look = real

        async def looked(agent):
            gc.threshold(_THRESHOLD)
            found = await real(agent)
            if self.cloud.polls >= self._next_look:
                self._next_look += _SAMPLE
                gc.collect()
                self._looks.append((self.cloud.polls, gc.mem_alloc()))
            return found

        return looked

    def keep_looks(self) -> None:
        """Those of the longest uptime."""
        if len(self._looks) > len(self.heap):
            self.heap = self._looks
        self._looks = []

    def said(self, outcome: str, rtc) -> dict:
        flash = self.job["flash"]
        with open(flash + ".new", "wb") as file:  # the old one is what is mapped
            file.write(self.world.flash.window(0, self.job["flash_size"]))
        os.rename(flash + ".new", flash)
        cloud = self.cloud
        return {
            "outcome": outcome, "boots": self.boots, "cuts": self.cuts, "polls": cloud.polls,
            "faults": cloud.faults, "finals": cloud.finals, "twice": cloud.twice, "offered": cloud.offered,
            "last_report": cloud._last, "operations": rtc[layout.W_OPERATIONS], "heap": self.heap,
            "violations": rtc[layout.W_VIOLATIONS] + rtc[layout.W_PANICS],
        }  # fmt: skip


def main() -> None:
    print(json.dumps(Soak(json.loads(sys.stdin.readline())).run()))


main()
