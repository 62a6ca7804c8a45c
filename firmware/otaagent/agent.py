"""The loop: log in, report, poll, update; beside the user's application."""

import asyncio
import gc
import json
import os
import time

from micropython import const
from otaspec import journal, keyset
from otaspec.errors import Deferred, ServerError, error

from . import config as settings
from . import http, trial
from .journal import SESSION, TRIAL
from .report import Reports
from .server import Server
from .update import CODECS, Update, room

try:
    from . import keys as rings
except ImportError:
    rings = None  # an image without key sets: provisioning says which keys sign
try:
    from .clock import Clock
except ImportError:
    Clock = None  # a board that keeps time itself, or speaks plain HTTP

_SERVER_UNREACHABLE = const(301)
_APPROVAL_PENDING = const(309)
_SERVER_BUSY = const(312)
_PUT_OFF = (_APPROVAL_PENDING, _SERVER_BUSY)  # not failed, and another server would say the same
_TRIAL_NO_SERVER = const(504)
_PREFER_AGAIN = const(3600000)  # ms after which the first server is tried again
_LONGEST_WAIT = const(3600)  # s: a board that was long offline still looks once an hour


class Agent:
    """What the application gets. `status` says what goes on; `board` is what the boot found (boot.Board)."""

    policy = None  # updates.Updates, where the application made one

    def __init__(self, board: "Board") -> None:
        config = board.config
        self.board = board
        self.config = config
        self.log = board.log
        keys = [keyset.Key(config.keys[i : i + 64]) for i in range(0, len(config.keys), 64)]
        self.ring = rings.open_ring(board) if rings else None
        self.keys = self.ring or keyset.KeySet(keys)
        self.offered_keys = None  # by the server
        context = http.tls_context(config.ca) if config.ca else None
        self.client = http.Client(context, bool(config.dev), config.timeout)
        self.download = http.Client(context, bool(config.dev), config.timeout)
        self.clock = None
        if context and Clock:
            self.clock = self.client.clock = self.download.clock = Clock(board.journal.nvs, self.log)
            context.verify_callback = self.clock.seen
        self.servers = [Server(self.client, base, config) for base in config.servers]
        self._preferred = list(self.servers)
        self._left_at = 0  # ticks at which the first one was left
        self.reports = Reports(self.now)
        self.interval = config.poll
        self.status = {
            "state": "idle", "step": 0, "version": board.version, "slot": board.running.label,
            "code": 0, "bytes": 0, "heap": 0,
        }  # fmt: skip
        gc.collect()
        self.rest = gc.mem_alloc()  # bytes in use before anything was done
        self.lock = asyncio.Lock()  # one call to a server at a time
        self.fresh = asyncio.Event()  # there is something to report
        self.wake = asyncio.Event()  # no more waiting until the next poll
        self.told_to_wait = False  # by a server
        self.app = None
        self.crash = ""  # what ended the application
        self.reached = False  # a server, in this trial
        self.log_due = False  # something failed: the server gets the log
        self.owed = None  # a failure that has not been queued for its report: (error, about)
        self.refused = ("", 0, 0)  # etag of a package that failed, ticks until it is tried again, s waited
        if config.dev:
            self.log("development mode: plain HTTP may be used")

    async def main(self, app: "module | None", crash: str) -> None:
        """Run the application and the agent, for ever."""
        self.app = app
        self.crash = crash
        if self.policy:
            self.policy.attach(self)
        self._tell_the_end()
        if hasattr(app, "main"):
            asyncio.create_task(self._application())
        asyncio.create_task(self._reporter())
        if self.board.on_trial:
            await trial.run(self)
            self.board.on_trial = False
            self._tell_the_end()
        asyncio.create_task(self._feeder())
        self.show("idle", 0)
        if self.config.mqtt:
            try:
                from .mqtt import Broker

                asyncio.create_task(Broker(self).run())
            except Exception as e:  # not in this image: polls do without
                self.log("mqtt:", e)
        await self._loop()

    async def _application(self) -> None:
        try:
            await self.app.main(self)
        except Exception as e:
            self.log.exception("application", e)
            self.crash = repr(e)

    async def _feeder(self) -> None:
        while True:
            self.board.feed()
            await asyncio.sleep_ms(min(self.config.wdt // 4, 1000))

    async def _reporter(self) -> None:
        """Sends what is new beside whatever else goes on: a slow server must not slow an update."""
        while True:
            await self.fresh.wait()
            self.fresh.clear()
            try:
                await self.deliver()
            except Exception as e:  # out of memory beside a decoder: the reports stay queued
                self.log("reports:", e)

    async def ask(self, point: str, update: "Update | None" = None) -> None:
        """The application's word at `point`: "before check", ... or "" between two sectors.

        Returns to go on; Deferred or REFUSED_BY_APPLICATION otherwise.
        """
        if self.policy:
            await self.policy.ask(point, update)
        else:
            await asyncio.sleep_ms(0)

    # -- what goes on ------------------------------------------------------------------------------

    def now(self) -> int:
        """UNIX seconds, 0 while no server has said them."""
        return max([server.now() for server in self.servers] or [0])

    def about(self) -> dict:
        """What a report says of the release on trial, or just tried."""
        book = self.board.journal
        session, record = book.get(SESSION), book.get(TRIAL)
        seq = record["seq"] if record else self.board.seq
        found = {"rollout": None, "seq": seq, "version": self.board.version}
        if session and session["seq"] == seq:
            rollout = session["rollout"]
            found["rollout"] = int(rollout) if rollout.isdigit() else rollout or None
            found["version"] = session["version"]
        return found

    def tell(self, state: str, step: int, code: int, about: dict, detail: str = "", **data) -> None:
        """Show it, and queue a report of it."""
        self.show(state, step, code)
        self.log_due = self.log_due or state in ("failed", "reverted")
        if self.reports.add(state, step, code, about, detail, data):
            self.fresh.set()

    def show(self, state: str, step: int, code: int = 0) -> None:
        """Say what goes on: in `status`, and as a line on stdout in development mode."""
        status = self.status
        if (status["state"], status["step"], status["code"]) == (state, step, code):
            return
        status["state"], status["step"], status["code"] = state, step, code
        status["bytes"] = self.download.received
        gc.collect()
        status["heap"] = gc.mem_alloc()
        self.reports.stats.saw(status["heap"] - self.rest)
        if self.config.dev:
            print("@driblet " + json.dumps(status))
        if self.policy:
            self.policy.shown(status)

    def pay(self) -> None:
        """Queue the final report of an update that failed."""
        if self.owed:
            e, about = self.owed
            self.tell("failed", e.coarse, e.code, about, e.evidence, **self.reports.stats.taken())
            self.owed = None

    def _tell_the_end(self) -> None:
        """Queue the final report of the last trial, unless that was done."""
        book = self.board.journal
        record = book.get(TRIAL)
        if not record or record["told"]:
            return
        data = self.reports.stats.taken()
        data["causes"] = list(record["causes"])
        if record["phase"] == journal.DONE:
            self.tell("confirmed", 100, 0, self.about(), "", **data)
        elif record["phase"] in (journal.REVERTED, journal.OFFLINE):
            code = record["code"] if record["phase"] == journal.REVERTED else _TRIAL_NO_SERVER
            self.tell("reverted", error(code).coarse, code, self.about(), self.board.evidence(), **data)
        else:
            return
        if self.policy:
            self.policy.ended("confirm" if record["phase"] == journal.DONE else "revert")
        book.change(TRIAL, told=True)

    def inventory(self) -> dict:
        """What a poll tells the server about this board."""
        board, config = self.board, self.config
        state = "pending-verify" if board.on_trial else self.status["state"]
        found = self.policy.inventory() if self.policy else {}
        found.update({
            "board": config.board, "chip": board.chip, "version": board.version,
            "image_sha256": board.image_sha256.hex(), "slot": board.running.label, "seq": board.seq,
            "state": state, "agent": settings.API_LEVEL, "staging": room(board), "ram": config.ram,
            "codecs": list(CODECS), "frozen": board.frozen, "kept": board.kept().hex(),
            "key_set": self.keys.version,
        })  # fmt: skip
        if board.bundles:
            found.update(board.bundles.inventory())
        return found

    def refuse(self, etag: str) -> None:
        """Not again at once: a package that failed here fails again, and each time wears the flash."""
        seconds = min(2 * self.refused[2], 86400) if etag == self.refused[0] else max(self.interval, 60)
        self.refused = (etag, time.ticks_add(time.ticks_ms(), seconds * 1000), seconds)

    def _is_refused(self, etag: object) -> bool:
        return etag == self.refused[0] and time.ticks_diff(self.refused[1], time.ticks_ms()) > 0

    # -- the servers -------------------------------------------------------------------------------

    async def _loop(self) -> None:
        """Poll for ever; every error ends in a wait."""
        failures = 0
        while True:
            gc.collect()
            wait = self.interval
            offer = None
            self.told_to_wait = False
            began = time.ticks_ms()
            try:
                self.pay()
                await self.ask("before check")
                offer, server = await self._look()
                failures = 0
                if self.ring:
                    await self.ring.follow(self, server)
                if not offer and time.ticks_diff(time.ticks_ms(), began) >= self.config.wait * 500 > 0:
                    wait = 1  # the server held the poll: that was the wait
                if isinstance(offer, dict) and not self._is_refused(offer.get("etag")):
                    await Update(self, server, offer).run()
                elif self.status["state"] == "deferred":
                    self.show("idle", 0)
            except Deferred as e:
                self.policy.put_off(e)
            except ServerError as e:
                self.log("no update now:", e)
                if offer:
                    self._switch(e)  # it is the package that does not come
                if e.code in _PUT_OFF:
                    self.told_to_wait = True
                    wait = max(e.wait, wait)
                else:
                    failures += 1
                    wait = min(self.interval << min(failures - 1, 12), _LONGEST_WAIT)
            except Exception as e:  # a defect of ours must not end the only way to its repair
                self.log.exception("agent", e)
            self.download.close()
            if not self.lock.locked():
                self.client.close()
            if self.status["state"] not in ("failed", "deferred"):
                self.show("idle", 0)
            # A fleet that was switched on together must not stay together, and after an outage still less.
            await self._sleep(wait, 2 if failures else 5)

    async def _sleep(self, seconds: int, part: int) -> None:
        """About `seconds`: within a `part`th of them, and never less than a server asked for."""
        ms = seconds * 1000
        if not self.told_to_wait:
            ms -= ms // (2 * part)
        ms += int.from_bytes(os.urandom(2), "big") * (seconds * 1000 // part) // 65536
        if self.policy:
            ms = self.policy.rest(ms)
        try:
            await asyncio.wait_for_ms(self.wake.wait(), ms)
        except asyncio.TimeoutError:
            pass
        self.wake.clear()

    async def _look(self) -> tuple:
        """As check_in; the server may hold the answer, and the application may end that."""
        if self.policy:
            return await self.policy.look(self.check_in(self.config.wait))
        return await self.check_in(self.config.wait)

    def _switch(self, e: ServerError) -> None:
        """Begin with another server the next time, unless this one only asked for time."""
        if e.code not in _PUT_OFF:
            self._left_at = time.ticks_ms()
            self.servers.append(self.servers.pop(0))

    async def check_in(self, wait: int = 0) -> tuple:
        """Reports, then a poll, at the first server that serves us: (offer or None, server)."""
        async with self.lock:
            failed = error(_SERVER_UNREACHABLE, "no server is set")
            if time.ticks_diff(time.ticks_ms(), self._left_at) > _PREFER_AGAIN:
                self.servers = list(self._preferred)
            for server in list(self.servers):
                try:
                    await self._send_reports(server)
                    answer = await server.poll(self.inventory(), wait)
                    self._heed(answer)
                    return answer.get("update"), server
                except ServerError as e:
                    self.log(server.base, e)
                    self.client.close()
                    failed = e
                    self._switch(e)
                    if e.code in _PUT_OFF:
                        break
            raise failed

    async def deliver(self) -> None:
        """Send the queued reports now, and the log after a failure. What cannot be sent stays queued."""
        async with self.lock:
            server = self.servers[0]
            try:
                await self._send_reports(server)
            except ServerError as e:
                self.log(server.base, e)
                self.client.close()

    async def _send_reports(self, server: "Server") -> None:
        """Log in, then send what is queued. A server that takes no reports may still have an update."""
        self.reports.begin_after(await server.log_in())
        try:
            await self.reports.send(server)
            if self.log_due:
                await server.upload_log(self.board.last_words() + self.log.text())
                self.log_due = False
        except ServerError as e:
            self.log("reports are kept:", e)
            self.client.close()

    def _heed(self, answer: dict) -> None:
        self.offered_keys = answer.get("keys")
        seconds = answer.get("poll_interval")
        if type(seconds) is int:
            self.interval = min(max(seconds, 1), 86400)
