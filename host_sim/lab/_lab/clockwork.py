"""asyncio on simulated time: where a chip would wait, the clock is put forward."""

import asyncio
import time
from asyncio import core

from _board import layout

from _lab import ends

_SHORTEST = 1000  # ms: no watchdog bites earlier


class Clockwork:
    """In place of asyncio's IOQueue: nothing here waits for a socket. `rtc`: words of the RTC memory."""

    rtc = None
    _feeds = -1
    _fed = 0

    def wait_io_event(self, ms: int) -> None:
        if ms < 0:
            raise (ends.Bitten if self.rtc[layout.W_WDT_TIMEOUT] else ends.Stuck)
        now, feeds = time.elapsed_ms(), self.rtc[layout.W_WDT_FEEDS]
        if feeds != Clockwork._feeds:
            Clockwork._feeds, Clockwork._fed = feeds, now
        timeout = now + ms - Clockwork._fed > _SHORTEST and self.rtc[layout.W_WDT_TIMEOUT]
        if timeout and now + ms - Clockwork._fed > timeout:
            raise ends.Bitten
        if now > time.LONGEST_MS:
            raise ends.Endless
        time.advance(ms)

    def remove(self, task) -> None:
        pass


def start(rtc) -> None:
    """A fresh event loop, as after a reset."""
    Clockwork.rtc = rtc
    core.IOQueue = Clockwork
    asyncio.new_event_loop()
