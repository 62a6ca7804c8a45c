"""Stand-in for MicroPython's `machine` module: what an updater and a small application need.

Deep sleep is refused: on ESP32 it wakes without the boot decision, which this simulator is about.
"""

import time

from _board import here, layout
from umachine import Signal, idle, time_pulse_us  # noqa: F401 - the real ones

PWRON_RESET = layout.PWRON_RESET
HARD_RESET = layout.HARD_RESET
WDT_RESET = layout.WDT_RESET
DEEPSLEEP_RESET = layout.DEEPSLEEP_RESET
SOFT_RESET = layout.SOFT_RESET


def reset() -> None:
    here.leave(layout.EXIT_HARD)


def soft_reset() -> None:
    here.leave(layout.EXIT_SOFT)


def reset_cause() -> int:
    return here.rtc[layout.W_RESET_CAUSE]


def unique_id() -> bytes:
    word = here.rtc
    return word[layout.W_UNIQUE_ID].to_bytes(4, "little") + word[layout.W_UNIQUE_ID + 1].to_bytes(2, "little")


def freq(hz=None):
    return 160000000 if hz is None else None


def disable_irq() -> int:
    return 0


def enable_irq(state: int) -> None:
    pass


def lightsleep(ms: int = 0) -> None:
    time.sleep_ms(ms)


def deepsleep(ms: int = 0) -> None:
    raise NotImplementedError("deepsleep: not in the simulator; it would wake without the boot decision")


class WDT:
    """The task watchdog. Once it runs it cannot be stopped; the simulator's parent process counts."""

    def __init__(self, id: int = 0, timeout: int = 5000) -> None:  # noqa: A002
        if id != 0:
            raise ValueError
        if timeout <= 0:
            raise ValueError("WDT timeout too short")
        here.rtc[layout.W_WDT_TIMEOUT] = timeout
        self.feed()

    def feed(self) -> None:
        rtc = here.rtc
        rtc[layout.W_WDT_FEEDS] = (rtc[layout.W_WDT_FEEDS] + 1) & 0xFFFFFFFF


class Pin:
    """A pin that nothing is connected to: it keeps its value."""

    IN, OUT, OPEN_DRAIN = 1, 3, 7
    PULL_DOWN, PULL_UP = 1, 2

    def __init__(self, id, mode: int = -1, pull: int = -1, value=None) -> None:  # noqa: A002
        self._value = 0
        self.init(mode, pull, value)

    def init(self, mode: int = -1, pull: int = -1, value=None) -> None:
        if value is not None:
            self._value = int(bool(value))

    def value(self, value=None):
        if value is None:
            return self._value
        self._value = int(bool(value))

    __call__ = value

    def on(self) -> None:
        self._value = 1

    def off(self) -> None:
        self._value = 0

    def toggle(self) -> None:
        self._value ^= 1


class RTC:
    """The clock. Setting it moves this class's view only: the host's clock stays what it is."""

    _offset = 0

    def datetime(self, value=None):
        """(year, month, day, weekday, hours, minutes, seconds, subseconds); sets with such a tuple."""
        if value is None:
            t = time.gmtime(time.time() + RTC._offset)
            return (t[0], t[1], t[2], t[6], t[3], t[4], t[5], 0)
        seconds = time.mktime((value[0], value[1], value[2], value[4], value[5], value[6], 0, 0))
        RTC._offset = seconds - int(time.time())
