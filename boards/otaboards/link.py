"""A board on a serial port, through mpremote's transport: run code, put files, put settings."""

import contextlib
import hashlib
import io
import json
from collections.abc import Callable
from types import TracebackType
from typing import Any

from mpremote import transport, transport_serial
from otaspec.errors import InputError, TargetError, code

_CHUNK = 1024  # bytes of a file in one call
_PATIENCE = 5  # seconds for its answer to Ctrl-A

_PUT = """
import esp32
n = esp32.NVS('driblet')
n.{set}({key!r}, {value!r})
n.commit()
"""


class Link:
    """A board whose raw REPL was entered. PORT_UNAVAILABLE or BOARD_SILENT where that fails."""

    def __init__(self, port: str) -> None:
        self.port = port
        try:
            self._transport = transport_serial.SerialTransport(port, timeout=_PATIENCE)
        except transport.TransportError as error:
            raise InputError(code("PORT_UNAVAILABLE"), f"{port}: {error}"[:120]) from error
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # it prints what it did not expect
                self._transport.enter_raw_repl(soft_reset=False, timeout_overall=_PATIENCE)
        except (transport.TransportError, OSError) as error:
            self._transport.close()
            raise silent(port, error) from error

    def run(self, text: str, *, timeout: float = 10, hear: Callable[[bytes], None] | None = None) -> str:
        """Runs code on the board; what it printed. BOARD_SILENT with the last line of a traceback.

        timeout: seconds without a byte. hear: gets what is printed as it comes; nothing is returned then.
        """
        try:
            out, problem = self._transport.exec_raw(text, timeout, hear)
        except (transport.TransportError, OSError) as error:
            raise silent(self.port, error) from error
        if problem:
            raise silent(self.port, problem.decode(errors="replace").strip().splitlines()[-1])
        return "" if hear else bytes(out).decode(errors="replace")

    def ask(self, text: str) -> Any:
        """The JSON that the code prints as its last line."""
        lines = self.run(text).strip().splitlines()
        try:
            return json.loads(lines[-1])
        except (IndexError, ValueError) as error:
            raise silent(self.port, "no answer in JSON") from error

    def put_file(self, path: str, data: bytes) -> bool:
        """Writes a file unless it is there and the same, and reads it back; whether it was written."""
        if self._digest(path) == hashlib.sha256(data).hexdigest():
            return False
        parts = path.split("/")
        for n in range(1, len(parts)):
            folder = "/".join(parts[:n])
            self.run(f"import os\ntry:\n os.mkdir({folder!r})\nexcept OSError:\n pass")
        try:
            self._transport.fs_writefile(path, data, chunk_size=_CHUNK)
        except (transport.TransportError, OSError) as error:
            raise silent(self.port, error) from error
        if self._digest(path) != hashlib.sha256(data).hexdigest():
            raise TargetError(code("FLASH_READ_BACK_WRONG"), path[:120])
        return True

    def _digest(self, path: str) -> str:
        text = (
            "import hashlib, binascii\nh = hashlib.sha256()\ntry:\n f = open({0!r}, 'rb')\n while True:\n"
            "  b = f.read(512)\n  if not b:\n   break\n  h.update(b)\n f.close()\n"
            " print(binascii.hexlify(h.digest()).decode())\nexcept OSError:\n print('none')"
        )
        return self.run(text.format(path)).strip()

    def put_setting(self, key: str, value: str | bytes | int) -> None:
        """One key of NVS namespace "driblet"; the value is never shown."""
        raw = value.encode() if isinstance(value, str) else value
        how = "set_i32" if isinstance(raw, int) else "set_blob"
        self.run(_PUT.format(set=how, key=key, value=raw))

    def close(self, reset: bool = False) -> None:
        """Gives the port back; `reset` starts what was installed."""
        try:
            if reset:
                self._transport.exec_raw_no_follow("import machine\nmachine.reset()")
            else:
                self._transport.exit_raw_repl()
            self._transport.close()
        except (transport.TransportError, OSError):
            pass  # it is gone already

    def __enter__(self) -> "Link":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def silent(port: str, why: object) -> TargetError:
    """BOARD_SILENT."""
    return TargetError(code("BOARD_SILENT"), f"{port}: {why}"[:120])
