"""What an application says to its updates: `ota = Updates(...)` at the top of its module (README.md).

The agent works without one. With one, it asks here before and after every stage, and between two sectors.
"""

import asyncio
import json
import time

from micropython import const
from otaspec.errors import error

from . import trial
from .agent import Agent
from .policy import Delay, Memory, Rules

_REFUSED_BY_APPLICATION = const(410)
_TRIAL_CRASHED = const(503)
_BY_APPLICATION = const(701)

STAGES = ("check", "download", "apply", "verify", "arm", "trial", "confirm", "revert")
_ON_TRIAL = ("before trial", "after trial", "before confirm", "before revert")
_ASK_AGAIN = const(3600)  # s after the user said no
_LONGEST_INVENTORY = const(1024)  # bytes of JSON
_TICK = const(20)  # ms
_LONGEST_TRIAL = const(432000)  # s that a hook may hold a trial: five days


class Later:
    """A hook's answer: not now, ask again after so many seconds."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds


class Fail:
    """A hook's answer: not this release."""

    def __init__(self, why: str = "") -> None:
        self.why = why


class Busy:
    """`async with ota.busy:` no reset by the agent meanwhile. Several may hold it at a time."""

    def __init__(self) -> None:
        self.held = 0
        self._free = asyncio.Event()
        self._free.set()

    async def __aenter__(self) -> None:
        self.held += 1
        self._free.clear()

    async def __aexit__(self, kind: object, e: object, trace: object) -> None:
        self.held -= 1
        if not self.held:
            self._free.set()

    async def free(self, seconds: int) -> bool:
        """Wait until nobody holds it; False where that takes longer than `seconds`."""
        try:
            await asyncio.wait_for(self._free.wait(), seconds)
        except asyncio.TimeoutError:
            pass
        return not self.held


class Updates:
    """The application's side of its updates.

    consent(about): True lets a release pass `consent_at`, False asks again in an hour. on_progress(status).
    self_test(): False or an exception sends a release on trial back. inventory(): a dict for the server.
    These may be coroutines, but for on_progress and inventory.
    window: "02:00-04:30 sat sun", local time of `zone`, a POSIX TZ string. metered: bool or a function;
    then only patches are taken, and `budget` bytes of them in thirty days.
    """

    def __init__(
        self,
        consent: "callable | None" = None,
        on_progress: "callable | None" = None,
        self_test: "callable | None" = None,
        inventory: "callable | None" = None,
        window: str = "",
        zone: str = "UTC0",
        metered: "bool | callable" = False,
        budget: "int | None" = None,
        consent_at: str = "download",
    ) -> None:
        self.busy = Busy()
        self.metered = metered
        self.agent = None
        self._rules = Rules(window, zone, budget)
        self._consent_at = "before " + consent_at
        self._consent = consent
        self._on_progress = on_progress
        self._self_test = self_test
        self._inventory = inventory
        self._hooks = {}  # point: [hook, ...]
        self._running = asyncio.Event()
        self._wake = asyncio.Event()
        self._round = asyncio.Event()  # a poll has been answered, or failed
        self._at_rest = asyncio.Event()
        self._offer = None
        self._reason = ""
        self._wait = 0  # s until it is worth asking again, 0: at the next poll
        self._told = None  # (code, seq) of the deferral that was reported
        self._too_dear = None  # (etag, Deferred) of a package that the data budget does not allow
        self._forced = self._forced_metered = False
        Agent.policy = self

    # -- what the application calls ----------------------------------------------------------------

    async def start(self) -> None:
        """Look for updates from now on. (A release on trial is confirmed or sent back without it, too.)"""
        if not self.agent:
            raise RuntimeError("make Updates() at the top of the application's module")
        self._running.set()
        self._wake.set()

    async def stop(self) -> None:
        """No more polls and downloads; returns when the agent rests. What was downloaded is kept."""
        self._running.clear()
        self._wake.set()
        await self._at_rest.wait()

    async def check_now(self) -> "dict | None":
        """Poll now. What the server offers ({"version", "seq", ...}); None: nothing, or no server."""
        self._offer = None
        self._round.clear()
        self._wake.set()
        await self._round.wait()
        return self._offer

    def defer(self, until: int) -> None:
        """No update before the UNIX time `until` (0: from now on), also after a reboot."""
        self._memory.put("defer", until or None)
        self._wake.set()

    def pause(self) -> None:
        """Stop at the next sector; until resume() or a reboot. What was downloaded is kept."""
        self._rules.paused = True

    def resume(self) -> None:
        self._rules.paused = False
        self._wake.set()

    def force(self, metered: bool = False) -> None:
        """The next update now, whatever window, deferral, consent or delay say; hooks and busy still hold.

        metered: on a metered network, too, and be it a full image.
        """
        self._forced = True
        self._forced_metered = metered
        self._rules.paused = False
        self._delay.clear()
        self._wake.set()

    @property
    def status(self) -> dict:
        """{"state", "step", "version", "code", ..., "reason": why it waits, "wait": for how many seconds}."""
        found = dict(self.agent.status)
        found["reason"], found["wait"] = self._reason, self._wait
        return found

    def now(self) -> int:
        """UNIX time as a server proved it; 0 while it is not known."""
        return self.agent.now()

    def before(self, stage: str) -> "callable":
        """`@ota.before("arm")`: the hook gets a dict about the release, and returns None, Later or Fail."""
        return self._hook("before", stage)

    def after(self, stage: str) -> "callable":
        return self._hook("after", stage)

    async def factory_reset(self, keep: tuple = ()) -> None:
        """Remove the application's files but `keep`, forget what was set here, and reset."""
        from . import reset

        while not await self.busy.free(_ASK_AGAIN):
            pass
        reset.begin(self.agent.board, keep)

    def _hook(self, when: str, stage: str) -> "callable":
        if stage not in STAGES:
            raise ValueError("stage " + stage)

        def add(hook: "callable") -> "callable":
            self._hooks.setdefault(when + " " + stage, []).append(hook)
            return hook

        return add

    # -- what the agent calls ----------------------------------------------------------------------

    def attach(self, agent: Agent) -> None:
        self.agent = agent
        agent.wake = self._wake
        self._booted = time.ticks_ms()
        self._memory = Memory(agent.board.journal.nvs)
        self._delay = Delay(self._memory, "delay")
        self._after = Delay(self._memory, "after")
        if self._after.point():
            asyncio.create_task(self._call_after())

    async def ask(self, point: str, update: "Update | None") -> None:
        """Returns, or raises Deferred, REFUSED_BY_APPLICATION or (on trial) trial.Failed."""
        if not point:
            await asyncio.sleep_ms(0)
            return self._hold()
        if point in _ON_TRIAL:
            return await self._ask_on_trial(point)
        if point == "before check":
            await self._started()
        about = self._about(update)
        seq = about.get("seq") or 0
        if point == "after check":
            self._offer = about
            self._round.set()
            self._told_of(seq)
        if point != "after arm":
            self._put_by(self._delay.left(seq, self.now(), self._up()), self._delay.point())
            self._hold()
        if point == "after check" and self._too_dear and self._too_dear[0] == update.package.etag:
            self._pay(None)  # the same package, still metered: it is not even looked at
        if point == "before download":
            self._pay(update)
        await self._ask_hooks(point, about, seq)
        if point == "before arm" and not await self.busy.free(self.agent.interval):
            raise error(_BY_APPLICATION, "busy")
        if point == "after arm":
            while not await self.busy.free(_ASK_AGAIN):
                pass

    def put_off(self, e: "Deferred") -> None:
        """An update waits: said once for each reason."""
        agent = self.agent
        agent.log("put off:", e)
        self._reason = e.evidence
        if not self._offer:
            return agent.show("deferred", agent.status["step"], e.code)
        told = (e.code, self._offer.get("seq"))
        if told != self._told:
            self._told = told
            about = {name: self._offer.get(name) for name in ("rollout", "seq", "version")}
            agent.tell("deferred", max(agent.status["step"], 1), e.code, about, e.evidence)
        agent.show("deferred", agent.status["step"], e.code)

    def shown(self, status: dict) -> None:
        if status["state"] == "failed":
            self._forced = self._forced_metered = False
        if status["state"] != "deferred":
            self._reason, self._wait = "", 0
        if self._on_progress:
            try:
                self._on_progress(dict(status))
            except Exception as e:
                self.agent.log.exception("on_progress", e)

    def inventory(self) -> dict:
        found = {}
        if self._inventory:
            try:
                found = dict(self._inventory())
                if len(json.dumps(found)) > _LONGEST_INVENTORY:
                    raise ValueError("above %d bytes" % _LONGEST_INVENTORY)
            except Exception as e:
                self.agent.log.exception("inventory", e)
                found = {}
        return found

    async def look(self, poll: "coroutine") -> tuple:
        """What `poll` returns; given up where the application wakes us and the server holds the answer."""
        box = []

        async def run() -> None:
            try:
                box.append((await poll, None))
            except Exception as e:
                box.append(((None, None), e))
            self._wake.set()

        held = self.agent.config.wait
        self._wake.clear()
        task = asyncio.create_task(run())
        while not box:
            await self._wake.wait()
            self._wake.clear()
            if held and not box:
                task.cancel()
                await asyncio.sleep_ms(0)
                self.agent.client.close()
                self._wake.set()  # no wait after this
                return None, None
        found, e = box[0]
        if e:
            raise e
        return found

    def rest(self, ms: int) -> int:
        """A round has ended: the ms until the next poll, `ms` at most; all of them where a server asked."""
        self._round.set()
        return min(ms, self._wait * 1000) if self._wait and not self.agent.told_to_wait else ms

    async def test(self, test: "callable | None") -> bool:
        """The self-test: ours, else the one of the module; the watchdog is fed meanwhile."""
        test = self._self_test or test
        return not test or await self._fed(_called(test))

    def ended(self, stage: str) -> None:
        """A trial ended (also: before this boot); its hook is owed until it was answered."""
        point = "after " + stage
        if point in self._hooks:
            self._after.set(point, self.agent.about()["seq"] or 0, 0, self.now(), self._up())
            asyncio.create_task(self._call_after())

    def _up(self) -> int:
        """Seconds since the boot; anew every six days: a delay without a clock may then take longer."""
        return max(time.ticks_diff(time.ticks_ms(), self._booted), 0) // 1000

    # -- before arming -----------------------------------------------------------------------------

    async def _started(self) -> None:
        self._offer = None
        if not self._running.is_set():
            self._at_rest.set()
            await self._running.wait()
        self._at_rest.clear()

    def _hold(self) -> None:
        """Deferred where a pause, a deferral or the window says so."""
        if not self._running.is_set():
            raise error(_BY_APPLICATION, "stopped")
        if self._forced and not self._rules.paused:
            return
        e, self._wait = self._rules.hold(self._memory, self.now())
        # Looking for an update is not updating: only a pause and a stop hold a poll.
        if e and (self._offer or self._rules.paused):
            raise e

    def _put_by(self, seconds: int, why: str) -> None:
        if seconds:
            self._wait = seconds
            raise error(_BY_APPLICATION, "%s: again in %d s" % (why, seconds))

    def _pay(self, update: "Update | None") -> None:
        """Count the package; without one: say again what stands against the last one."""
        metered = self.metered() if callable(self.metered) else self.metered
        if not metered or self._forced_metered:
            self._too_dear = None
            return
        if update:
            e = self._rules.pay(self._memory, update.manifest, self.now())
            self._too_dear = (update.package.etag, e) if e else None
        if self._too_dear:
            raise self._too_dear[1]

    def _about(self, update: "Update | None") -> dict:
        if not update:
            return {}
        about = dict(update.about)
        m = update.manifest
        if m:
            full = bool(m.payload_size) and not m.base_size
            about.update({"size": m.payload_size + m.bundle_size, "full": full, "image_size": m.image_size})
        return about

    def _told_of(self, seq: int) -> None:
        """Another release than the one that was told of: what was said of that one is over."""
        if self._told and self._told[1] != seq:
            self._told = None

    async def _ask_hooks(self, point: str, about: dict, seq: int) -> None:
        if point == self._consent_at and self._consent and not self._forced:
            await self._ask_user(point, about, seq)
        for hook in self._hooks.get(point, ()):
            while True:
                answer = await self._answer(hook, about)
                if not isinstance(answer, Later):
                    break
                if point != "after arm":
                    self._later(point, seq, answer)
                await asyncio.sleep(answer.seconds)  # armed already: only the reset is put off
            if isinstance(answer, Fail):
                raise error(_REFUSED_BY_APPLICATION, (point + ": " + answer.why)[:120])
        if self._delay.point() == point:
            self._delay.clear()

    async def _ask_user(self, point: str, about: dict, seq: int) -> None:
        if self._memory.get("yes") == seq:
            return
        answer = await self._answer(self._consent, about)
        if isinstance(answer, Fail):
            raise error(_REFUSED_BY_APPLICATION, ("consent: " + answer.why)[:120])
        if isinstance(answer, Later) or not answer:
            self._later(point, seq, answer or Later(_ASK_AGAIN))
        self._memory.put("yes", seq)

    def _later(self, point: str, seq: int, answer: Later) -> None:
        self._delay.set(point, seq, answer.seconds, self.now(), self._up())
        self._put_by(max(int(answer.seconds), 1), point)

    async def _answer(self, hook: "callable", about: dict) -> object:
        """What the hook says; an exception in it is a Fail."""
        try:
            return await _called(hook, about)
        except Exception as e:
            self.agent.log.exception("hook", e)
            return Fail(repr(e))

    # -- on trial, where the watchdog wants to be fed ------------------------------------------------

    async def _ask_on_trial(self, point: str) -> None:
        about = self.agent.about()
        seq = about["seq"] or 0
        alive = point != "before revert"
        left = self._delay.left(seq, self.now(), self._up()) if self._delay.point() == point else 0
        for hook in self._hooks.get(point, ()):
            while True:
                await self._fed(_rest(left), left + 1, alive)
                answer = await self._fed(self._answer(hook, about), 0, alive)
                if not isinstance(answer, Later):
                    break
                left = min(answer.seconds, _LONGEST_TRIAL if alive else _ASK_AGAIN)
                self._delay.set(point, seq, left, self.now(), self._up())
            left = 0
            if isinstance(answer, Fail) and alive:
                raise trial.Failed(_REFUSED_BY_APPLICATION, (point + ": " + answer.why)[:120])
        if self._delay.point() == point:
            self._delay.clear()
        if not alive and not self.agent.crash:
            # Held for ever it would keep a bad release: as long as a check-in may take, no longer.
            await self._fed(self.busy.free(self.agent.config.checkin), self.agent.config.checkin, False)

    async def _fed(self, work: "coroutine", seconds: int = 0, alive: bool = True) -> object:
        """The result of `work`; the watchdog is fed meanwhile, for `seconds` (0: a check-in's time) at most.

        alive: only while the application lives.
        """
        box = []

        async def run() -> None:
            try:
                box.append((await work, None))
            except Exception as e:
                box.append((None, e))

        agent = self.agent
        task = asyncio.create_task(run())
        end = time.ticks_add(time.ticks_ms(), (seconds or agent.config.checkin) * 1000 + 1000)
        while not box:
            if agent.crash and alive:
                task.cancel()
                raise trial.Failed(_TRIAL_CRASHED, agent.crash)
            if time.ticks_diff(end, time.ticks_ms()) <= 0:
                task.cancel()
                raise trial.Failed(_REFUSED_BY_APPLICATION, "a hook or self-test that does not end")
            agent.board.feed()
            await asyncio.sleep_ms(_TICK)
        result, e = box[0]
        if e:
            raise e
        return result

    async def _call_after(self) -> None:
        """The hooks of "after confirm" and "after revert": they change nothing, but may say Later."""
        after, about = self._after, self.agent.about()
        point, seq = after.point(), self._memory.get("after")[1]
        for hook in self._hooks.get(point, ()):
            while True:
                await asyncio.sleep(after.left(seq, self.now(), self._up()))
                answer = await self._answer(hook, about)
                if not isinstance(answer, Later):
                    break
                after.set(point, seq, answer.seconds, self.now(), self._up())
            if isinstance(answer, Fail):
                self.agent.log(point, answer.why)
                self.agent.log_due = True  # the server hears of it with the log
        after.clear()


async def _called(function: "callable", *args) -> object:
    """The result of a function or of a coroutine function."""
    found = function(*args)
    return await found if hasattr(found, "send") else found


async def _rest(seconds: int) -> None:
    await asyncio.sleep(seconds)  # (what sleep() returns is shared: it cannot be kept for a task)
