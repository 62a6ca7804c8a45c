"""The clock before a server has said the time (SECURITY.md, first contact without a clock).

A certificate's dates cannot be checked by a board that was born in the year 2000. Name and CA are checked
all the same: a handshake that failed is tried once more with the clock put to the youngest date in the
certificates that came, and the clock is put back if that fails, too. What the MACed answer says then sets
the clock, forward only and by a bounded step; from then on dates are checked.
"""

import time

import machine
from micropython import const

_KEY = "time"
_DAY = const(86400)
_YEAR = const(31557600)
_STEP = const(20)  # years beyond the last time that was proved, in one contact
_BORN = const(1735689600)  # 2025-01-01: no board of ours is older
_Y2000 = const(946684800)  # where the ESP32's clock begins

_epoch = 0 if time.gmtime(0)[0] == 1970 else _Y2000


class Clock:
    """`nvs`: keeps the last time that was proved, at most one write a day."""

    def __init__(self, nvs: "esp32.NVS", log: "Log") -> None:
        self._nvs = nvs
        self._log = log
        self._youngest = ()  # date of a certificate of the last handshake: (year, month, day, h, m, s)
        self.proved = False  # by a server, since the boot
        buf = bytearray(8)
        try:
            nvs.get_blob(_KEY, buf)
        except OSError:
            pass
        self._last = max(int.from_bytes(buf, "big"), _BORN)
        if _now() < self._last:
            _set(time.gmtime(self._last - _epoch))

    def seen(self, certificate: "memoryview", depth: int) -> int:
        """tls.SSLContext.verify_callback: it cannot allow anything, only look."""
        try:
            self._youngest = max(self._youngest, not_before(certificate))
        except (ValueError, IndexError):
            pass  # mbedTLS has its own opinion of it
        return 0

    def forget(self) -> None:
        """A handshake begins."""
        self._youngest = ()

    def leap(self) -> "tuple | None":
        """Put the clock to the youngest date seen, if that is ahead: the clock as it was, for back()."""
        if self.proved or self._youngest <= _read():
            return None
        before = _read()
        self._log("clock to the certificate's date", self._youngest[:3])
        _set(self._youngest)
        return before

    def back(self, before: tuple) -> None:
        _set(before)

    def prove(self, seconds: int) -> bool:
        """The time that a MACed answer says; False where it is not believed."""
        if not self._last - _DAY <= seconds <= self._last + _STEP * _YEAR:
            self._log("time not believed:", seconds)
            return False
        if not self.proved:
            _set(time.gmtime(seconds - _epoch))
        self.proved = True
        if seconds - self._last > _DAY or self._last == _BORN:
            self._last = seconds
            try:
                self._nvs.set_blob(_KEY, seconds.to_bytes(8, "big"))
                self._nvs.commit()
            except OSError:
                pass  # asked again at the next contact
        return True


def _now() -> int:
    return int(time.time()) + _epoch


def _read() -> tuple:
    t = machine.RTC().datetime()
    return t[:3] + t[4:7]


def _set(date: tuple) -> None:
    """`date`: (year, month, day, hour, minute, second, ...), UTC."""
    machine.RTC().datetime((date[0], date[1], date[2], 0, date[3], date[4], date[5], 0))


def not_before(der: "memoryview") -> tuple:
    """(year, month, day, h, m, s) from which a certificate is valid (RFC 5280 section 4.1). ValueError."""
    at, _ = _inside(der, 0)  # Certificate
    at, _ = _inside(der, at)  # TBSCertificate
    if der[at] == 0xA0:  # version
        at = _behind(der, at)
    for _ in range(3):  # serialNumber, signature, issuer
        at = _behind(der, at)
    at, _ = _inside(der, at)  # validity
    begin, end = _inside(der, at)
    text = bytes(der[begin:end]).decode()
    if der[at] == 0x17:  # UTCTime: two digits of the year, those from 50 on in the last century
        text = ("19" if text >= "5" else "20") + text
    elif der[at] != 0x18:
        raise ValueError
    numbers = [int(text[i : i + 2]) for i in range(4, 14, 2)]
    return (int(text[:4]), numbers[0], numbers[1], numbers[2], numbers[3], numbers[4])


def _inside(der: "memoryview", at: int) -> tuple:
    """(first byte, end) of the contents of the element at `at`."""
    length, at = der[at + 1], at + 2
    if length >= 0x80:
        n = length & 0x7F
        length = int.from_bytes(bytes(der[at : at + n]), "big")
        at += n
    return at, at + length


def _behind(der: "memoryview", at: int) -> int:
    return _inside(der, at)[1]
