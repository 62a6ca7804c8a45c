"""HTTP/1.1 client over asyncio streams (RFC 9112): one connection, one answer at a time.

Bounded in everything: a header line, their number, a body, the time of each read. Redirects are not
followed: a server that moves is a matter of configuration. Every failure is a ServerError.
"""

import asyncio
import socket
import time
from errno import EINPROGRESS

from micropython import const
from otaspec.errors import ServerError, error

_SERVER_UNREACHABLE = const(301)
_SERVER_TIMEOUT = const(302)
_TLS_REFUSED = const(303)
_HTTP_STATUS = const(304)
_ANSWER_INVALID = const(305)
_DOWNLOAD_TOO_SLOW = const(306)
_PLAIN_HTTP_REFUSED = const(311)
_SERVER_BUSY = const(312)

_BUFFER = const(1024)  # also the longest header line
_LONGEST_WAIT = const(86400)  # s that a server may ask for
_HEADERS = const(64)  # more lines than this: not a server of ours
_UNTIL_CLOSE = const(-1)
_ETIMEDOUT = const(110)  # lwIP and Linux agree; MicroPython's errno may lack the name
_MBEDTLS = const(-0x1000)  # mbedTLS' X.509 and SSL errors lie below, the system's above
_MBEDTLS_EOF = const(-0x7280)

# Only these headers of an answer are kept.
_KEPT = (
    "content-length", "transfer-encoding", "connection", "content-range",
    "etag", "retry-after", "driblet-mac",
)  # fmt: skip


def split(url: str) -> tuple:
    """URL -> (tls, host, port, path). ANSWER_INVALID where it is none: the server may have sent it."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    host, colon, port = authority.partition(":")
    if scheme not in ("http", "https") or not host or " " in url or "@" in host or "\n" in url:
        raise error(_ANSWER_INVALID, "not a URL: " + url[:60])
    try:
        number = int(port) if colon else (443 if scheme == "https" else 80)
    except ValueError:
        raise error(_ANSWER_INVALID, "not a URL: " + url[:60])
    return scheme == "https", host, number, "/" + path


def join(base: str, url: str) -> str:
    """`url` as seen from `base`, which has no path: absolute, or relative to the server."""
    return url if "://" in url else base.rstrip("/") + "/" + url.lstrip("/")


def tls_context(ca: bytes) -> "SSLContext":
    """A context that trusts `ca` (DER or PEM) alone and always checks the server's name."""
    import tls

    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.verify_mode = tls.CERT_REQUIRED
    try:
        context.load_verify_locations(ca)
    except (ValueError, OSError) as e:
        raise error(_TLS_REFUSED, "CA: " + str(e)[:80])
    return context


class Client:
    """One connection at a time, kept alive while the origin stays the same and answers are read whole.

    `context`: of `tls_context`, or None where plain HTTP is all there is; `plain`: the development
    flag; `timeout`: seconds for a connection, and for each single read or write.
    """

    def __init__(self, context: "SSLContext | None", plain: bool = False, timeout: int = 20) -> None:
        self.context = context
        self._plain = plain
        self._ms = int(timeout * 1000)
        self._buf = bytearray(_BUFFER)
        self._mv = memoryview(self._buf)
        self._at = self._end = 0
        self._origin = None
        self._stream = None
        self._left = 0
        self._chunked = self._keep = False
        self._ended = True
        self.clock = None  # clock.Clock: dates of certificates before the time is known
        self.patience = 0  # ms more than usual, where an answer may be held
        self.received = 0  # bytes of bodies, for reports
        self.status = 0
        self.headers = {}

    async def open(self, method: str, url: str, headers: "dict | tuple" = (), body: bytes = b"") -> int:
        """Send a request and read the head of its answer; returns the status."""
        origin = split(url)
        head = _head(method, origin, headers, body)
        if self._stream and self._keep and self._ended and origin[:3] == self._origin:
            # The server may have closed a kept connection meanwhile: only then try once more.
            try:
                return await self._exchange(head, body)
            except ServerError as e:
                if e.code != _SERVER_UNREACHABLE:
                    raise e
        self.close()
        await self._connect(origin)
        try:
            return await self._exchange(head, body)
        except ServerError as e:
            before = self.clock.leap() if self.clock and e.code == _TLS_REFUSED else None
            if not before:
                raise e
        try:
            await self._connect(origin)
            return await self._exchange(head, body)
        except ServerError as e:
            self.clock.back(before)
            raise e

    async def readinto(self, mv: "memoryview") -> int:
        """Some bytes of the body into `mv`; 0 at its end."""
        if self._chunked and not self._left and not self._ended:
            await self._chunk()
        if self._ended:
            return 0
        want = len(mv) if self._left < 0 else min(len(mv), self._left)
        n = min(want, self._end - self._at)
        if n:
            mv[:n] = self._mv[self._at : self._at + n]
            self._at += n
        else:
            n = await self._receive(mv[:want])
        if not n and self._left >= 0:
            raise self._lost("body cut short")
        self.received += n
        await self._count(n)
        return n

    async def read(self, limit: int) -> bytes:
        """The whole body, at most `limit` bytes (ANSWER_INVALID beyond)."""
        if self._left > limit:
            raise error(_ANSWER_INVALID, "body of %d bytes" % self._left)
        known = self._left if self._left >= 0 and not self._chunked else min(limit, _BUFFER)
        body = bytearray(known)
        n = 0
        while not self._ended:
            if n == len(body):
                if n >= limit:
                    raise error(_ANSWER_INVALID, "body above %d bytes" % limit)
                body.extend(bytes(min(_BUFFER, limit - n)))
            n += await self.readinto(memoryview(body)[n:])
        return bytes(memoryview(body)[:n])

    def close(self) -> None:
        if self._stream:
            try:
                self._stream.s.close()
            except (OSError, ValueError):
                pass  # a broken TLS session may not close twice
        self._stream = None
        self._ended = True
        self._at = self._end = 0

    # -- the connection --------------------------------------------------------------------------

    async def _connect(self, origin: tuple) -> None:
        secure, host, port = origin[:3]
        if not secure and not self._plain:
            raise error(_PLAIN_HTTP_REFUSED, host)
        if secure and not self.context:
            raise error(_TLS_REFUSED, "no CA is set")
        self._origin = origin[:3]
        if self.clock:
            self.clock.forget()
        try:
            # The one call that blocks: MicroPython resolves names synchronously.
            found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
            # IPv4 where there is one: names (localhost too) have IPv6 addresses that nobody serves.
            where = next((a for a in found if a[0] == socket.AF_INET), found[0])
            s = socket.socket(where[0], where[1], where[2])
            s.setblocking(False)
            try:
                s.connect(where[-1])
            except OSError as e:
                if e.errno != EINPROGRESS:
                    s.close()
                    raise e
            if secure:
                s = self.context.wrap_socket(s, server_hostname=host, do_handshake_on_connect=False)
            self._stream = asyncio.StreamReader(s)
        except (OSError, ValueError) as e:
            raise self._failed(e, secure)

    async def _exchange(self, head: bytes, body: bytes) -> int:
        self._at = self._end = 0
        # Not write(): that would try at once, on a socket that may not be connected yet.
        if len(body) <= _BUFFER:
            head, body = head + body, b""  # one segment: no wait between Nagle and a delayed ACK
        for part in (head, body):
            if part:
                self._stream.out_buf = part
                await self._timed(self._stream.drain())
        status = await self._status()
        while 100 <= status < 200:
            status = await self._status()
        self.status = status
        return status

    async def _status(self) -> int:
        line = await self._line()
        if line[:7] != b"HTTP/1." or not line[9:12].isdigit():
            raise self._invalid("not HTTP/1: " + repr(line[:20]))
        status = int(line[9:12])
        self.headers = {}
        for _ in range(_HEADERS):
            header = await self._line()
            if not header:
                break
            self._header(header)
        else:
            raise self._invalid("too many headers")
        self._frame(status, line[7:8] == b"1")
        return status

    def _header(self, line: bytes) -> None:
        name, colon, value = line.partition(b":")
        try:
            key = name.decode().lower()
            if not colon or key in self.headers:
                raise ValueError  # a second Content-Length is how requests are smuggled
            if key in _KEPT:
                self.headers[key] = value.strip().decode()
        except (ValueError, UnicodeError):
            raise self._invalid("header " + repr(line[:30]))

    def _frame(self, status: int, modern: bool) -> None:
        """How the body ends: RFC 9112 section 6.3."""
        get = self.headers.get
        self._keep = modern and "close" not in get("connection", "").lower()
        coding = get("transfer-encoding", "").lower()
        length = get("content-length")
        self._chunked = coding == "chunked"
        if (coding and not self._chunked) or (coding and length) or (length and not length.isdigit()):
            raise self._invalid("framing of the body")
        if status < 200 or status in (204, 304):
            self._chunked, self._left = False, 0
        elif self._chunked:
            self._left = 0
        else:
            self._left = int(length) if length else _UNTIL_CLOSE
            self._keep = self._keep and self._left >= 0
        self._ended = not self._left and not self._chunked

    async def _chunk(self) -> None:
        line = (await self._line()).partition(b";")[0].strip()
        try:
            self._left = int(line, 16) if 0 < len(line) < 8 else -1
        except ValueError:
            self._left = -1
        if self._left < 0:
            raise self._invalid("chunk size " + repr(line[:12]))
        if not self._left:
            for _ in range(_HEADERS):
                if not await self._line():
                    self._ended = True
                    return
            raise self._invalid("too many trailers")

    async def _count(self, n: int) -> None:
        if self._left < 0:
            self._ended = not n
            return
        self._left -= n
        if not self._left:
            if not self._chunked:
                self._ended = True
            elif await self._line():
                raise self._invalid("chunk runs over")

    # -- bytes -----------------------------------------------------------------------------------

    async def _line(self) -> bytes:
        """The next line without its end; one longer than the buffer is ANSWER_INVALID."""
        while True:
            at = self._buf.find(b"\n", self._at, self._end)
            if at >= 0:
                line = bytes(self._mv[self._at : at])
                self._at = at + 1
                return line[:-1] if line[-1:] == b"\r" else line
            kept = self._end - self._at
            if kept == _BUFFER:
                raise self._invalid("line above %d bytes" % _BUFFER)
            self._mv[:kept] = bytes(self._mv[self._at : self._end])
            self._at, self._end = 0, kept
            n = await self._receive(self._mv[kept:])
            if not n:
                raise self._lost("closed before the answer")
            self._end += n

    async def _receive(self, mv: "memoryview") -> int:
        while True:
            n = await self._timed(self._stream.readinto(mv))
            if n is not None:  # None: TLS has a part of a record only
                return n

    async def _timed(self, step: "coroutine") -> object:
        secure = self._origin[0]
        try:
            return await asyncio.wait_for_ms(step, self._ms + self.patience)
        except asyncio.TimeoutError:
            self.close()
            raise error(_SERVER_TIMEOUT, self._origin[1])
        except (OSError, ValueError) as e:
            raise self._failed(e, secure)

    # -- errors ----------------------------------------------------------------------------------

    def _failed(self, e: "OSError | ValueError", secure: bool) -> "ServerError":
        """What a socket or mbedTLS said, in our terms."""
        self.close()
        number = e.errno if isinstance(e, OSError) else None
        evidence = "%s: %s" % (self._origin[1], e)
        if number in (_ETIMEDOUT, -_ETIMEDOUT):
            return error(_SERVER_TIMEOUT, evidence[:120])
        # mbedTLS: a wrong CA, name or date is a ValueError, or an OSError with its own number.
        if secure and (number is None or (number < _MBEDTLS and number != _MBEDTLS_EOF)):
            return error(_TLS_REFUSED, evidence[:120])
        return error(_SERVER_UNREACHABLE, evidence[:120])

    def _lost(self, what: str) -> "ServerError":
        self.close()
        return error(_SERVER_UNREACHABLE, "%s: %s" % (self._origin[1], what))

    def _invalid(self, what: str) -> "ServerError":
        self.close()
        return error(_ANSWER_INVALID, what)


def refused(client: Client, codes: dict, what: str) -> "OtaError":
    """What the status of an answer means, by `codes`; and for how long a busy server wants to be left."""
    busy = client.status in (429, 503)
    code = _SERVER_BUSY if busy else codes.get(client.status, _HTTP_STATUS)
    e = error(code, "%d %s" % (client.status, what))
    after = client.headers.get("retry-after", "")
    if busy and after.isdigit():
        e.wait = min(int(after), _LONGEST_WAIT)
    return e


def _head(method: str, origin: tuple, headers: dict, body: bytes) -> bytes:
    secure, host, port, path = origin
    if port != (443 if secure else 80):
        host = "%s:%d" % (host, port)
    lines = ["%s %s HTTP/1.1" % (method, path), "Host: " + host, "User-Agent: driblet/1"]
    for name in headers:
        lines.append("%s: %s" % (name, headers[name]))
    if body or method == "POST":
        lines.append("Content-Length: %d" % len(body))
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Pace:
    """Minimum rate and total deadline of a download: stops the endless and the trickling kind."""

    def __init__(self, rate: int, deadline: int, window: int) -> None:
        """At least `rate` bytes/s over each `window` s, and at most `deadline` s (below six days) in all."""
        self._least = rate * window
        self._window = window * 1000
        self._until = time.ticks_add(time.ticks_ms(), deadline * 1000)
        self.again()

    def again(self) -> None:
        """A window begins: what the board did until now is not the server's fault."""
        self._since = time.ticks_ms()
        self._bytes = 0

    def count(self, n: int) -> None:
        """`n` more bytes came; DOWNLOAD_TOO_SLOW."""
        now = time.ticks_ms()
        self._bytes += n
        if time.ticks_diff(self._until, now) <= 0:
            raise error(_DOWNLOAD_TOO_SLOW, "deadline")
        if time.ticks_diff(now, self._since) < self._window:
            return
        if self._bytes < self._least:
            raise error(_DOWNLOAD_TOO_SLOW, "%d bytes in %d s" % (self._bytes, self._window // 1000))
        self.again()
