"""MicroPython's raw REPL (shared/runtime/pyexec.c) for the unix port, whose own REPL has none.

Started with its terminal in raw mode, so that mpremote can drive a simulated board.
"""

import sys

_WINDOW = 0x400  # both its bytes are ASCII: stdout writes text
_BANNER = "raw REPL; CTRL-B to exit\r\n"


def run() -> None:
    """Serves one host until its line is cut."""
    names = {"__name__": "__main__"}
    line = b""
    raw = False
    while True:
        c = sys.stdin.buffer.read(1)
        if not c:
            return
        if c == b"\x01":
            raw, line = True, b""
            _say(_BANNER + ">")
        elif c == b"\x02":
            raw = False
            _say("\r\nMicroPython stand-in\r\n>>> ")
        elif c == b"\x03":
            line = b""
        elif c == b"\x05" and raw:
            sys.stdin.buffer.read(2)  # "A" 01: asks for paste mode
            _say("R\x01")
            _execute(_paste(), names)
        elif c == b"\x04" and raw:
            _say("OK")
            _execute(line, names)
            line = b""
        elif raw:
            line += c


def _paste() -> bytes:
    """Code sent in windows: 01 asks for the next one; 04 ends it and is answered."""
    sys.stdout.write(chr(_WINDOW & 0xFF) + chr(_WINDOW >> 8) + "\x01")
    text = bytearray()
    while True:
        c = sys.stdin.buffer.read(1)
        if not c or c == b"\x04":
            _say("\x04")
            return bytes(text)
        text += c
        if not len(text) % _WINDOW:
            _say("\x01")


def _execute(text: bytes, names: dict) -> None:
    """Output, 04, traceback, 04, prompt."""
    problem = ""
    try:
        exec(text, names)
    except Exception as e:
        import io

        out = io.StringIO()
        sys.print_exception(e, out)
        problem = out.getvalue()
    _say("\x04" + problem + "\x04>")


def _say(text: str) -> None:
    sys.stdout.write(text)
