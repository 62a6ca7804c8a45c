"""Local time and the maintenance window: pure, so that any clock can be tried on it.

The zone is a POSIX TZ string, as zoneinfo's files end with one: "CET-1CEST,M3.5.0,M10.5.0/3".
(IEEE 1003.1-2017, 8.3; of the three forms of a rule the one in use, Mm.w.d.)
"""

from micropython import const

DAY = const(86400)
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def offset(zone: str, utc: int) -> int:
    """Seconds east of UTC at the UNIX time `utc`. ValueError for a zone that cannot be read."""
    names, _, rules = zone.partition(",")
    at, standard = _offset(names, _name(names, 0))
    if at == len(names):
        return standard
    at = _name(names, at)
    summer = _offset(names, at)[1] if at < len(names) else standard + 3600
    begin, _, end = rules.partition(",")
    year = civil(utc + standard)[0]
    starts = _at(begin, year) - standard
    ends = _at(end, year) - summer
    if starts < ends:
        return summer if starts <= utc < ends else standard
    return standard if ends <= utc < starts else summer  # the southern half


def civil(seconds: int) -> tuple:
    """(year, month, day, weekday; 0 is Sunday) of a count of seconds since 1970-01-01."""
    days = seconds // DAY
    z = days + 719468  # since 0000-03-01: a year that ends with its leap day
    era = z // 146097
    doe = z - era * 146097
    yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    month = (5 * doy + 2) // 153
    day = doy - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    return yoe + era * 400 + (month <= 2), month, day, (days + 4) % 7


def days_to(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 to a date: the other way round."""
    year -= month <= 2
    yoe = year % 400
    doy = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return year // 400 * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719468


class Window:
    """When an update may run: "02:00-04:30", "22:00-05:00 sat sun" (the days on which it opens)."""

    def __init__(self, text: str) -> None:
        hours, _, days = text.partition(" ")
        begin, _, end = hours.partition("-")
        self._begin, self._end = _time(begin), _time(end)
        self._days = [_DAYS.index(day) for day in days.split()] or range(7)
        if self._begin == self._end or max(self._begin, self._end) > DAY:
            raise ValueError("window " + text)

    def opens_in(self, local: int) -> int:
        """Seconds from `local` (seconds of local time) until it is open; 0: it is open now."""
        length = (self._end - self._begin) % DAY or DAY
        for back in range(-1, 8):
            begin = (local // DAY + back) * DAY + self._begin
            if civil(begin)[3] in self._days and local < begin + length:
                return max(begin - local, 0)
        return DAY


def _name(text: str, at: int) -> int:
    """Where the zone's name that begins at `at` ends: letters, or anything in <>."""
    start = at
    if text[at : at + 1] == "<":
        at = text.find(">", at) + 1
    else:
        while at < len(text) and text[at].isalpha():
            at += 1
    if at <= start:
        raise ValueError("zone " + text)
    return at


def _offset(text: str, at: int) -> tuple:
    """(where it ends, seconds east) of an offset, which POSIX counts to the west."""
    end = at
    while end < len(text) and text[end] in "+-0123456789:":
        end += 1
    return end, -_time(text[at:end])


def _time(text: str) -> int:
    """Seconds of [+-]h[:m[:s]]."""
    sign = -1 if text[:1] == "-" else 1
    seconds = 0
    unit = 3600
    for part in text.lstrip("+-").split(":"):
        seconds += int(part) * unit
        unit //= 60
    return sign * seconds


def _at(rule: str, year: int) -> int:
    """Local seconds of Mm.w.d[/time] in that year: day d of week w (5: the last) of month m."""
    date, _, time = rule.partition("/")
    if date[:1] != "M":
        raise ValueError("rule " + rule)
    month, week, day = [int(part) for part in date[1:].split(".")]
    first = days_to(year, month, 1)
    found = first + (day - (first + 4)) % 7 + (week - 1) * 7
    if week == 5 and found >= (days_to(year, month + 1, 1) if month < 12 else first + 31):
        found -= 7
    return found * DAY + (_time(time) if time else 7200)
