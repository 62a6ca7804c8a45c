"""A server in memory behind the agent's HTTP client: the protocol is real, only the sockets are not."""

import json
from binascii import hexlify, unhexlify

from _board import layout, libc
from otaspec import mac
from otaspec.errors import error

from _lab import ends

_POLL_SECONDS = 3
_QUIET_POLLS = 2  # in a row, of one boot, between which no flash operation happened: the board has settled
_UNREACHABLE = 301
_NO_SERVER = 504


class Server:
    """One device's cloud. It goes on offering the release for as long as the board does not run it."""

    def __init__(self, world, job: dict) -> None:
        self.reachable = True
        self.sent = 0  # bytes of the package
        self.reports = []  # (state, code) of each new report
        self._world = world
        self._job = job
        self._package = memoryview(
            libc.view(libc.map_file(job["package"], job["package_size"]), job["package_size"])
        )
        self._seen = set()
        self._quiet = (-1, 0)

    def board_resets(self) -> None:
        self._quiet = (-1, 0)

    def answer(self, method: str, path: str, headers: dict, body: bytes):
        """(status, headers, body)."""
        if not self.reachable:
            raise error(_UNREACHABLE, "the lab's server is off")
        if method == "GET":
            return self._get(headers)
        if path == "/v1/log":
            return 204, {}, b""
        doc = json.loads(body)
        if path == "/v1/poll":
            return self._poll(doc)
        found = {
            "/v1/challenge": lambda doc: {"nonce": "lab", "time": self._time()},
            "/v1/login": lambda doc: {
                "token": "lab",
                "expires_in": 3600,
                "poll_interval": _POLL_SECONDS,
                "last_report": 0,
            },
            "/v1/report": self._report,
        }[path](doc)
        return 200, {}, json.dumps(found).encode()

    def _time(self) -> int:
        import time

        return time.time()

    def _report(self, doc: dict) -> dict:
        for report in doc["reports"]:
            if report["id"] not in self._seen:
                self._seen.add(report["id"])
                self.reports.append((report["state"], report["code"]))
        return {"accepted": [report["id"] for report in doc["reports"]]}

    def _poll(self, doc: dict):
        job = self._job
        self._watch()
        offer = None
        if doc["image_sha256"] != job["new"] and not self._withdrawn():
            offer = {name: job[name] for name in ("seq", "version", "etag")}
            offer.update({"rollout": "lab", "url": "/v1/packages/x", "size": job["package_size"]})
        body = json.dumps({"time": self._time(), "poll_interval": _POLL_SECONDS, "update": offer}).encode()
        proof = mac.answer(unhexlify(job["ds"]), job["pk"], job["dn"], unhexlify(doc["nonce"]), body)
        return 200, {"driblet-mac": hexlify(proof).decode()}, body

    def _withdrawn(self) -> bool:
        """A release that cannot reach its server is tried again for ever: here, twice."""
        return len([r for r in self.reports if r[1] == _NO_SERVER]) >= 2

    def _watch(self) -> None:
        done = self._world.rtc[layout.W_OPERATIONS]
        before, polls = self._quiet
        self._quiet = (done, polls + 1 if done == before else 1)
        if self._quiet[1] == _QUIET_POLLS:
            raise ends.Settled

    def _get(self, headers: dict):
        wanted = headers.get("Range", "bytes=0-")
        at = int(wanted[6:].split("-")[0])
        size = len(self._package)
        found = {"etag": self._job["etag"], "content-range": "bytes %d-%d/%d" % (at, size - 1, size)}
        return 206 if at else 200, found, self._package[at:]


class Client:
    """In place of otaagent.http.Client: the same methods, one Server behind all of them."""

    server = None

    def __init__(self, context=None, plain: bool = False, timeout: int = 20) -> None:
        self.clock = None
        self.patience = 0
        self.received = 0
        self.status = 0
        self.headers = {}
        self._body = b""
        self._at = 0

    async def open(self, method: str, url: str, headers=(), body: bytes = b"") -> int:
        path = "/" + url.split("/", 3)[3]
        self.status, self.headers, self._body = Client.server.answer(method, path, dict(headers or {}), body)
        self._at = 0
        return self.status

    async def readinto(self, mv) -> int:
        n = min(len(mv), len(self._body) - self._at)
        mv[:n] = self._body[self._at : self._at + n]
        self._at += n
        self.received += n
        if self.status in (200, 206) and isinstance(self._body, memoryview):
            Client.server.sent += n
        return n

    async def read(self, limit: int) -> bytes:
        raw = bytes(self._body[self._at :])
        self._at = len(self._body)
        self.received += len(raw)
        return raw

    def close(self) -> None:
        pass
