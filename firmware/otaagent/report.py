"""Reports to the server (PROTOCOL.md section 4): progress is thinned, final reports outlive a reboot.

A final report (confirmed, reverted, failed) lies in NVS until the server has accepted it. Its id is
given, and saved, before it is first sent, so that a repeated sending is counted once.
"""

import json
import time
from struct import pack, unpack

import esp32
from micropython import const
from otaspec.errors import coarse

from .config import NAMESPACE

_FINAL = ("confirmed", "reverted", "failed")
_KEPT = const(4)  # final reports in NVS, keys "r0".."r3"; the oldest makes room
_LONGEST = const(768)  # bytes of one of them
_GAP = const(2000)  # ms between two reports of the same state
_BATCH = const(16)
_PWRON = const(1)  # machine.PWRON_RESET


class Reports:
    """The queue. `clock` returns UNIX seconds, 0 while they are unknown."""

    def __init__(self, clock: "callable") -> None:
        self._nvs = esp32.NVS(NAMESPACE)
        self._clock = clock
        self._final = []  # (NVS key, report)
        self._progress = []
        self._last = ("", 0)
        self._next = 0
        self.stats = Stats(self._nvs)
        buf = bytearray(_LONGEST)
        for i in range(_KEPT):
            try:
                n = self._nvs.get_blob("r%d" % i, buf)
                self._final.append(("r%d" % i, json.loads(bytes(memoryview(buf)[:n]))))
            except (OSError, ValueError):
                pass  # absent, or torn: a report is not worth a boot

    def add(self, state: str, step: int, code: int, about: dict, detail: str, data: dict) -> bool:
        """Queue a report. `about`: {rollout, seq, version}; `code`: 0 or a key of errors.TABLE.

        False where it is thinned away: progress counts once in two seconds, a change of state always.
        """
        final = state in _FINAL
        now = time.ticks_ms()
        if not final and not code and self._last[0] == state and time.ticks_diff(now, self._last[1]) < _GAP:
            return False
        self._last = (state, now)
        report = {
            "id": 0, "at": self._clock(), "state": state, "step": step, "code": code,
            "coarse": coarse(code) if code else 0, "detail": detail[:120], "data": data,
        }  # fmt: skip
        report.update(about)
        if final:
            if not self._has(report):
                self._keep(report)
        else:
            # Only the latest of each state is worth sending.
            self._progress = [r for r in self._progress if r["state"] != state] + [report]
        return True

    def begin_after(self, last: int) -> None:
        """`last`: the highest id that the server has of this board, which may have lost its record."""
        if last > self._next:
            self._next = (last // 64 + 1) * 64
            self._write("set_i32", "rid", self._next // 64)

    async def send(self, server: "Server") -> None:
        """Send what is queued, final reports first; ServerError leaves it queued."""
        batch = [report for _, report in self._final] + self._progress
        del batch[_BATCH:]
        if not batch:
            return
        for report in batch:
            if not report["id"]:
                report["id"] = self._id()
        for key, report in self._final:
            self._save(key, report)
        answer = await server.call("/v1/report", {"reports": batch})
        accepted = answer.get("accepted")
        if isinstance(accepted, list):
            self._forget(accepted)

    # -- NVS -------------------------------------------------------------------------------------

    def _has(self, report: dict) -> bool:
        """Whether it is queued already: the power went before it was noted that it had been made."""
        return any(
            all(r.get(k) == report[k] for k in ("state", "seq", "code", "data")) for _, r in self._final
        )

    def _keep(self, report: dict) -> None:
        used = [key for key, _ in self._final]
        free = [key for key in ["r%d" % i for i in range(_KEPT)] if key not in used]
        key = free[0] if free else self._final.pop(0)[0]
        self._final.append((key, report))
        self._save(key, report)

    def _save(self, key: str, report: dict) -> None:
        raw = json.dumps(report).encode()
        if len(raw) > _LONGEST:
            report["data"] = {}
            raw = json.dumps(report).encode()
        self._write("set_blob", key, raw)

    def _forget(self, ids: list) -> None:
        for key, report in self._final:
            if report["id"] in ids:
                self._write("erase_key", key)
        self._final = [kept for kept in self._final if kept[1]["id"] not in ids]
        self._progress = [report for report in self._progress if report["id"] not in ids]

    def _write(self, how: str, *args) -> None:
        try:
            getattr(self._nvs, how)(*args)
            self._nvs.commit()
        except OSError:
            pass  # a full NVS must not stop an update; the report stays in RAM

    def _id(self) -> int:
        """The next id. One block of 64 is reserved in NVS at a time."""
        if not self._next % 64:
            try:
                block = self._nvs.get_i32("rid")
            except OSError:
                block = 0
            block = max(block, self._next // 64)
            self._next = block * 64
            self._write("set_i32", "rid", block + 1)
        self._next += 1
        return self._next


class Stats:
    """What an update cost, for its final report; kept in NVS over the resets in it."""

    _counted = False

    def __init__(self, nvs: "esp32.NVS") -> None:
        self._nvs = nvs
        self._since = time.ticks_ms()
        self.bytes = self.erases = self.heap = self.seconds = self.cuts = 0
        buf = bytearray(20)
        try:
            if nvs.get_blob("stats", buf) == 20:
                self.bytes, self.erases, self.heap, self.seconds, self.cuts = unpack("<5I", buf)
        except OSError:
            pass

    def began(self) -> None:
        self._since = time.ticks_ms()
        self.bytes = self.erases = self.heap = self.seconds = self.cuts = 0
        self.save()

    def resumed(self, cause: int) -> None:
        """The session goes on after a reset by `cause`, or after an error of the network."""
        if cause == _PWRON and not self._counted:
            self.cuts += 1
            self._counted = True
        self.save()

    def saw(self, heap: int) -> None:
        self.heap = max(self.heap, heap)

    def save(self) -> None:
        """Count the time until now, and keep all of it."""
        now = time.ticks_ms()
        self.seconds += time.ticks_diff(now, self._since) // 1000
        self._since = now
        try:
            raw = pack("<5I", self.bytes, self.erases, self.heap, self.seconds, self.cuts)
            self._nvs.set_blob("stats", raw)
            self._nvs.commit()
        except OSError:
            pass  # figures only

    def taken(self) -> dict:
        return {
            "bytes_received": self.bytes, "erases": self.erases, "heap_peak": self.heap,
            "seconds": self.seconds, "power_cuts": self.cuts,
        }  # fmt: skip
