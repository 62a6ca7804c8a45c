"""First contact without a clock: over TLS, on a board whose clock begins in the year 2000 at each power-on.

The board's clock is made by the image under test: it decides what mbedTLS takes for the present time.
"""

import datetime
import ssl
import time
from pathlib import Path

import pytest
import trustme

from .service import Service
from .station import Station, full, image, reported
from .test_updates import said

pytestmark = pytest.mark.slow

# mbedTLS asks mbedtls_x509_time_gmtime for the present time: a jump to a function of ours goes over it.
CLOCK = b"""
import ffi, machine, struct, sys, time, uctypes
real = time.time
class RTC:
    ahead = 946684800 - int(real())  # as on an ESP32: 2000-01-01
    def datetime(self, value=None):
        if value is None:
            t = time.gmtime(int(real()) + RTC.ahead)
            return (t[0], t[1], t[2], t[6], t[3], t[4], t[5], 0)
        t = value
        RTC.ahead = time.mktime((t[0], t[1], t[2], t[4], t[5], t[6], 0, 0)) - int(real())
        print('@driblet {"rtc": %d}' % t[0])
machine.RTC = RTC
class Time:
    def __getattr__(self, name):
        return getattr(time, name)
    def time(self):
        return int(real()) + RTC.ahead
sys.modules["time"] = Time()
def present(seconds, now):
    t = time.gmtime(int(real()) + RTC.ahead)
    uctypes.bytearray_at(now, 24)[:] = struct.pack("<6i", *t[:6])
    return 0
wide = struct.calcsize("P") == 8
called = ffi.callback("i", present, "lP")
x509 = ffi.open("libmbedx509.so.7")
at = uctypes.struct(uctypes.addressof(struct.pack("P", 0)), {"p": 0 | uctypes.UINT32})
place = x509.addr("mbedtls_x509_time_gmtime")
page = place & ~4095
ffi.open(None).func("i", "mprotect", "PLi")(page, 8192, 7)
jump = struct.pack("<HQ", 0xB848, called.cfun()) if wide else struct.pack("<BI", 0xB8, called.cfun())
uctypes.bytearray_at(place, len(jump) + 2)[:] = jump + b"\\xff\\xe0"
"""
MAIN = b"import simclock\nfrom otaagent import boot\nboot.run('app')\n"
WATCH = b"""
import asyncio
async def main(agent):
    while not agent.now():
        await asyncio.sleep_ms(20)
    print('@driblet {"now": %d}' % agent.now())
"""
APP = {"main.py": MAIN, "simclock.py": CLOCK, "app.py": WATCH}
DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.now(datetime.UTC)


def server(ca: trustme.CA, first: datetime.datetime, last: datetime.datetime) -> Service:
    """One whose certificate is valid from `first` to `last`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost", not_before=first, not_after=last).configure_cert(context)
    return Service(context=context)


def station(folder: Path, service: Service, ca: trustme.CA) -> Station:
    settings = {"dev": 0, "ca": ca.cert_pem.bytes()}
    return Station(folder, service, image("1.0.0", APP), settings)


async def test_the_time_is_learnt_from_the_first_answer(tmp_path: Path) -> None:
    ca = trustme.CA()
    began = time.time()
    with server(ca, NOW - DAY, NOW + DAY) as service:
        service.release(full(image("1.1.0", APP)))
        board = await station(tmp_path, service, ca).run(reported("confirmed"))
    assert said("rtc")(board)
    assert int(began) <= next(v for v in board.said("now") if v) <= time.time()
    years = {time.gmtime(when).tm_year for when in (began, time.time())}
    assert [year for year in board.said("rtc") if year][-1] in years


async def test_another_ca_is_refused_whatever_its_dates(tmp_path: Path) -> None:
    ca, other = trustme.CA(), trustme.CA()
    with server(other, NOW - DAY, NOW + DAY) as service:
        board = station(tmp_path, service, ca)
        with pytest.raises(AssertionError):
            await board.run(lambda s: bool(s.service.calls), seconds=4)
    years = [year for year in board.said("rtc") if year]
    assert NOW.year in years  # tried with the certificate's date,
    assert years[-1] == 2025  # and put back


async def test_once_the_time_is_known_dates_are_checked(tmp_path: Path) -> None:
    ca = trustme.CA()
    with server(ca, NOW - 30 * DAY, NOW - 2 * DAY) as service:
        board = station(tmp_path, service, ca)
        await board.run(said("now"))  # the first contact: it expired, and who can tell
        service.polls.clear()
        # The next boot begins with the last time that was proved: it has expired.
        with pytest.raises(AssertionError):
            await board.run(lambda s: bool(s.service.polls), seconds=4)


async def test_a_time_that_is_too_far_away_is_not_believed(tmp_path: Path) -> None:
    ca = trustme.CA()
    with server(ca, NOW - DAY, NOW + DAY) as service:
        service.skew = 40 * 365 * 86400
        board = station(tmp_path, service, ca)
        await board.run(lambda s: len(s.service.polls) > 2)
        assert not said("now")(board)
        service.skew = 0
        await board.run(said("now"))
        # and never backwards
        service.skew = -400 * 86400
        polls = len(service.polls)
        board.events.clear()
        await board.run(lambda s: len(s.service.polls) > polls + 2)
        assert not said("now")(board)
