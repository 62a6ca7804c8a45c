"""A server that speaks PROTOCOL.md on a real socket, and misbehaves where a test says so."""

import hashlib
import json
import os
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from otaspec import mac

Answer = tuple[int, dict[str, str], bytes]
Misbehaviour = Callable[["Service", bytes], Answer | None]


@dataclass
class Service:
    """One product, its boards, and the one package that is offered to all of them.

    `instead[path]`: called first with the body; what it returns is the answer, None: as usual.
    """

    pk: str = "thermostat"
    ps: bytes = b"p" * 32
    poll_interval: int = 1
    skew: int = 0  # s that its clock is ahead
    holds: bool = False  # a poll, as long as the board allows
    context: ssl.SSLContext | None = None
    package: bytes = b""
    offer: dict[str, Any] | None = None
    instead: dict[str, Misbehaviour] = field(default_factory=dict)
    secrets: dict[str, bytes] = field(default_factory=dict)
    polls: list[dict[str, Any]] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)
    heard: set[int] = field(default_factory=set)  # ids of reports, also of those that a test has cleared away
    logs: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    sent: int = 0

    def __enter__(self) -> "Service":
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.service = self
        if self.context:
            self._http.socket = self.context.wrap_socket(self._http.socket, server_side=True)
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}" if self.context else f"http://127.0.0.1:{self.port}"

    def release(self, package: bytes, version: str = "1.1.0", seq: int = 7, rollout: int = 3) -> None:
        """Offer `package` from now on."""
        digest = hashlib.sha256(package).hexdigest()
        self.package = package
        self.offer = {
            **{"rollout": rollout, "seq": seq, "version": version, "size": len(package)},
            **{"url": f"/v1/packages/{digest}", "etag": f'"{digest}"'},
        }

    def states(self) -> list[str]:
        """The states that were reported, one after the other, each once in a row."""
        found: list[str] = []
        for report in self.reports:
            if not found or found[-1] != report["state"]:
                found.append(report["state"])
        return found

    # ---- the calls ----

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> Answer:
        self.calls.append(path)
        wanted = self.instead.get(path if path.count("/") < 3 else "/v1/packages")
        found = wanted(self, body) if wanted else None
        if found is not None:
            return found
        if path.startswith("/v1/packages/"):
            return self._package(path, headers)
        if path == "/v1/log":
            self.logs.append(body.decode())
            return 204, {}, b""
        given = json.loads(body)
        return getattr(self, "_" + path.rsplit("/", 1)[1])(given, headers)  # type: ignore[no-any-return]

    def _challenge(self, given: dict[str, Any], _: Any) -> Answer:
        self.nonce = os.urandom(8).hex()
        return _json({"nonce": self.nonce, "time": int(time.time())})

    def _register(self, given: dict[str, Any], _: Any) -> Answer:
        nonce = bytes.fromhex(given["device_nonce"])
        if mac.register(self.ps, self.pk, given["dn"], given["nonce"], nonce).hex() != given["mac"]:
            return _json({"error": "LOGIN_REFUSED"}, 401)
        ds = self.secrets.setdefault(given["dn"], os.urandom(32))
        return _json({"ds": ds.hex()})

    def _login(self, given: dict[str, Any], _: Any) -> Answer:
        nonce = bytes.fromhex(given["device_nonce"])
        ds = self.secrets.get(given["dn"], b"")
        if mac.login(ds, self.pk, given["dn"], given["nonce"], nonce).hex() != given["mac"]:
            return _json({"error": "LOGIN_REFUSED"}, 401)
        last = max(self.heard, default=0)
        return _json(
            {
                "token": given["dn"],
                "expires_in": 3600,
                "poll_interval": self.poll_interval,
                "last_report": last,
            }
        )

    def _poll(self, given: dict[str, Any], headers: Any) -> Answer:
        dn = headers["Authorization"].split()[1]
        self.polls.append(given | {"at": time.monotonic()})
        until = time.monotonic() + (given.get("wait", 0) if self.holds else 0)
        while not self.offer and time.monotonic() < until:
            time.sleep(0.02)
        offer = self.offer if self.offer and given["seq"] < self.offer["seq"] else None
        if given["state"] == "pending-verify":
            offer = None
        body = {"time": int(time.time()) + self.skew, "poll_interval": self.poll_interval, "update": offer}
        raw = json.dumps(body).encode()
        right = mac.answer(self.secrets[dn], self.pk, dn, bytes.fromhex(given["nonce"]), raw)
        return 200, {"Driblet-Mac": right.hex()}, raw

    def _report(self, given: dict[str, Any], _: Any) -> Answer:
        for report in given["reports"]:
            if report["id"] not in self.heard:
                self.heard.add(report["id"])
                self.reports.append(report)
        return _json({"accepted": [report["id"] for report in given["reports"]]})

    def _package(self, path: str, headers: Any) -> Answer:
        etag = f'"{path.rsplit("/", 1)[1]}"'
        if headers.get("If-Match", etag) != etag:
            return 412, {}, b""
        wanted = headers.get("Range", "")
        self.ranges.append(wanted)
        if not wanted:
            return 200, {"ETag": etag}, self.package
        first, _, last = wanted[6:].partition("-")
        return self._part(etag, int(first), int(last or len(self.package)) + 1)

    def _part(self, etag: str, first: int, end: int) -> Answer:
        size = len(self.package)
        if first >= size:
            return 416, {}, b""
        return (
            206,
            {"ETag": etag, "Content-Range": f"bytes {first}-{min(end, size) - 1}/{size}"},
            self.package[first:end],
        )


def _json(body: dict[str, Any], status: int = 200) -> Answer:
    return status, {}, json.dumps(body).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    service: Service

    def handle_error(self, *_: Any) -> None:
        pass  # boards lose their power in the middle of everything


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one segment an answer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._send(*self.server.service.answer("POST", self.path, self.headers, body))  # type: ignore[attr-defined]

    def do_GET(self) -> None:
        self._send(*self.server.service.answer("GET", self.path, self.headers, b""))  # type: ignore[attr-defined]

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204 and "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for at in range(0, len(body), 4096):
            self.wfile.write(body[at : at + 4096])
            self.server.service.sent += len(body[at : at + 4096])  # type: ignore[attr-defined]
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        pass
