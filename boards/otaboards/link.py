"""A board on a serial port, through mpremote's transport: run code, put files, put settings."""

import contextlib
import io
import json
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from mpremote import transport, transport_serial
from otaspec.errors import InputError, TargetError, code

_CHUNK = 2048  # bytes of a file in one call
_PATIENCE = 5  # seconds for its answer to Ctrl-A
_BUSY = 30  # seconds without a byte of a board that has answered: an emulated one is slow at times

_FOLDERS = """
import os
for name in {!r}:
    try:
        os.mkdir(name)
    except OSError:
        pass
"""
_DIGESTS = """
import hashlib, binascii, json
def digest(name):
    h = hashlib.sha256()
    try:
        with open(name, "rb") as f:
            while True:
                b = f.read(512)
                if not b:
                    return binascii.hexlify(h.digest()).decode()
                h.update(b)
    except OSError:
        return ""
print(json.dumps({{name: digest(name) for name in {!r}}}))
"""
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
        self._transport.serial.timeout = _BUSY

    def run(self, text: str, *, timeout: float = _BUSY, hear: Callable[[bytes], None] | None = None) -> str:
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

    def put_file(self, path: str, data: bytes) -> None:
        """Writes a file; its folder must be there."""
        for at in range(0, max(len(data), 1), _CHUNK):
            how = "ab" if at else "wb"
            self.run(f"with open({path!r}, {how!r}) as f:\n f.write({data[at : at + _CHUNK]!r})")

    def make_folders(self, paths: Iterable[str]) -> None:
        """The folders that files are to be put into."""
        parts = {path.rsplit("/", n)[0] for path in paths for n in range(1, path.count("/") + 1)}
        self.run(_FOLDERS.format(sorted(parts)))

    def digests(self, paths: Iterable[str]) -> dict[str, str]:
        """SHA-256 in hex of each file, "" of one that is not there."""
        found: dict[str, str] = self.ask(_DIGESTS.format(list(paths)))
        return found

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
