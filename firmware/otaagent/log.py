"""A bounded log in RAM. It is uploaded after a failure, and never else (PROTOCOL.md: at most 64 KiB)."""

import io
import sys
import time

from micropython import const

_SIZE = const(2048)


class Log:
    """The last lines, at most _SIZE bytes of them; `echo` prints each as well (stderr)."""

    def __init__(self, echo: bool = False) -> None:
        self._buf = bytearray(_SIZE)
        self._end = 0
        self._echo = echo

    def __call__(self, *words) -> None:
        line = "%d %s\n" % (time.ticks_ms() // 1000, " ".join([str(w) for w in words])[:200])
        if self._echo:
            sys.stderr.write(line)
        raw = line.encode()
        if self._end + len(raw) > _SIZE:
            self._drop(len(raw))
        self._buf[self._end : self._end + len(raw)] = raw
        self._end += len(raw)

    def exception(self, what: str, e: Exception) -> None:
        """The traceback goes into the log: on trial it is the evidence."""
        self(what, repr(e))
        sys.print_exception(e, _Lines(self))

    def text(self) -> bytes:
        return bytes(memoryview(self._buf)[: self._end])

    def clear(self) -> None:
        self._end = 0

    def _drop(self, n: int) -> None:
        """Forget whole lines from the top until half is free and `n` more bytes fit."""
        at = self._buf.find(b"\n", max(n, _SIZE // 2) - 1, self._end) + 1 or self._end
        kept = self._end - at
        self._buf[:kept] = bytes(memoryview(self._buf)[at : self._end])
        self._end = kept


class _Lines(io.IOBase):
    """A stream that hands whole lines to the log."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._part = ""

    def write(self, data: "bytes | str") -> int:
        self._part += data if isinstance(data, str) else bytes(data).decode()
        while "\n" in self._part:
            line, _, self._part = self._part.partition("\n")
            self._log(line)
        return len(data)
