"""The package at a URL: the same immutable object each time, opened at any byte (RFC 9110 section 14)."""

from micropython import const
from otaspec.errors import error

from .http import refused

_PACKAGE_TRUNCATED = const(108)
_ANSWER_INVALID = const(305)
_PACKAGE_CHANGED = const(307)

_OK = const(200)
_PARTIAL = const(206)
_CODES = {412: _PACKAGE_CHANGED, 416: _PACKAGE_TRUNCATED}


class Package:
    """`etag` (without quotes; "" = not known yet) pins the object: another is PACKAGE_CHANGED."""

    def __init__(self, client: "Client", url: str, etag: str, pace: "Pace") -> None:
        self.url = url
        self.etag = etag.strip('"')
        self._client = client
        self._pace = pace

    async def open(self, at: int, end: int = 0) -> None:
        """Be about to read byte `at`; no more than up to `end` is wanted, 0: all."""
        headers = {}
        if at or end:
            headers["Range"] = "bytes=%d-%s" % (at, end - 1 if end else "")
        if self.etag:
            headers["If-Match"] = '"%s"' % self.etag
        status = await self._client.open("GET", self.url, headers)
        if status not in (_OK, _PARTIAL):
            raise refused(self._client, _CODES, "of the package")
        self._pin(self._client.headers.get("etag", ""))
        if status == _PARTIAL:
            place = self._client.headers.get("content-range", "")
            if not place.startswith("bytes %d-" % at):
                raise error(_ANSWER_INVALID, "content-range " + place[:40])
        elif at:
            await self._skip(at)  # a server without ranges: dear, but right

    async def readinto(self, mv: "memoryview") -> int:
        """Some of the next bytes; 0 at the end of the package."""
        n = await self._client.readinto(mv)
        self._pace.count(n)
        return n

    async def fill(self, mv: "memoryview") -> None:
        """All of `mv`; PACKAGE_TRUNCATED where the package ends before."""
        self._pace.again()
        at = 0
        while at < len(mv):
            n = await self.readinto(mv[at:])
            if not n:
                raise error(_PACKAGE_TRUNCATED, "%d bytes missing" % (len(mv) - at))
            at += n

    def _pin(self, found: str) -> None:
        # A weak ETag (W/) promises no byte, so it can pin none.
        found = "" if found.startswith("W/") else found.strip('"')
        if self.etag and found != self.etag:
            raise error(_PACKAGE_CHANGED, "etag " + found[:16])
        self.etag = found

    async def _skip(self, n: int) -> None:
        buf = memoryview(bytearray(256))
        while n:
            got = await self.readinto(buf[: min(n, len(buf))])
            if not got:
                raise error(_PACKAGE_TRUNCATED, "ends before byte asked for")
            n -= got
