"""A board at a serial port, as pytest-embedded's device under test."""

import json
import re
from collections.abc import Callable
from typing import Any

from otaboards.link import Link
from pytest_embedded import Dut

_MARK = "@dut "  # a line that begins so is the JSON that `ask` wants


class BoardDut(Dut):
    """MicroPython's raw REPL behind pytest-embedded's expect().

    kind: simulator, mcu or serial. held: the link that the whole session uses.
    """

    kind: str
    link: Link

    def run(self, code: str, *, timeout: float = 60) -> None:
        """Runs code on the board; each line that it prints may be expected. TargetError where it raises."""
        lines = _Lines(self._q.put)
        try:
            self.link.run(code, timeout=timeout, hear=lines)
        finally:
            lines.end()

    def ask(self, code: str, expression: str, *, timeout: float = 60) -> Any:
        """The value of an expression after some code, as JSON carries it."""
        self.run(f"{code}\nimport json\nprint({_MARK!r} + json.dumps({expression}))", timeout=timeout)
        found = self.expect(re.compile(_MARK.encode() + rb"(.*?)\r?\n"), timeout=timeout)
        return json.loads(found.group(1))


class _Lines:
    """Passes a byte stream on by lines: pytest-embedded asks another process for each piece."""

    def __init__(self, put: Callable[[bytes], None]) -> None:
        self._put = put
        self._line = b""

    def __call__(self, data: bytes) -> None:
        self._line += data.replace(b"\x04", b"")  # the raw REPL's end of output
        if self._line.endswith(b"\n"):
            self.end()

    def end(self) -> None:
        self._put(self._line)
        self._line = b""
