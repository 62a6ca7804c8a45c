"""The hostile server, behind the agent's own HTTP client: only the socket itself is not real."""

import asyncio
import json
from binascii import hexlify, unhexlify

from _lab import ends
from otaspec import mac

_FOR_EVER = 1 << 29  # ms


class Sockets:
    """In place of the module `socket`."""

    AF_INET = 2
    SOCK_STREAM = 1

    @staticmethod
    def getaddrinfo(host, port, *_):
        return [(2, 1, 0, "", (host, port))]

    def __init__(self, *_) -> None:
        self.setblocking = self.connect = self.close = lambda *_: None

    @staticmethod
    def socket(*_):
        return Sockets()


class Stream:
    """In place of asyncio's. A reply is a list of (bytes, times, ms before each): times < 0 is for ever."""

    server = None

    def __init__(self, s) -> None:
        self.s = s
        self.out_buf = b""
        self._request = b""
        self._reply = []
        self._piece = b""

    async def drain(self) -> None:
        self._request += self.out_buf
        self.out_buf = b""
        head, end, body = self._request.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        if end and len(body) >= int(headers.get("content-length", 0)):
            method, path = lines[0].split()[:2]
            self._request = b""
            self._reply = self.server.reply(path, headers, body)

    async def readinto(self, mv) -> int:
        while not self._piece:
            if not self._reply:
                return 0
            piece, times, ms = self._reply[0]
            if ms:
                await asyncio.sleep_ms(ms)
            self._reply[0] = (piece, times - 1, ms)
            if times == 1:
                self._reply.pop(0)
            self._piece = memoryview(piece)
        n = min(len(mv), len(self._piece))
        mv[:n] = self._piece[:n]
        self._piece = self._piece[n:]
        self.server.sent += n
        return n


class Server:
    """Does what the case says where it says something, and what a good server does elsewhere."""

    def __init__(self, run, job: dict, case: dict) -> None:
        self._run = run
        self._job = job
        self._case = case
        self._package = unhexlify(case["package"])
        self._polls = 0
        self._answers = []
        self.reports = []
        self.sent = 0

    def reply(self, path: str, headers: dict, body: bytes) -> list:
        name = path.split("/")[2]
        wanted = self._case["replies"].get(name)
        if wanted and name != "poll":
            return self._as_told(wanted, headers)
        if name == "packages":
            return self._file(self._package, headers)
        if name == "log":
            return _http("204 No Content", {}, b"")
        if name == "keysets":
            return self._file(unhexlify(self._case["keysets"][path.split("/")[-1]]), headers)
        status, more, answer = getattr(self, "_" + name)(json.loads(body))
        return _http(status, more, answer)

    def _as_told(self, wanted: list, headers: dict) -> list:
        return [(unhexlify(raw), times, ms) for raw, times, ms in wanted]

    def _file(self, data: bytes, headers: dict) -> list:
        at = int(headers.get("range", "bytes=0-")[6:].split("-")[0])
        more = {"ETag": self._etag()}
        if at:
            more["Content-Range"] = "bytes %d-%d/%d" % (at, len(data) - 1, len(data))
        return _http("206 Partial Content" if at else "200 OK", more, data[at:])

    def _etag(self) -> str:
        return '"%s"' % self._case["etag"]

    def _challenge(self, doc: dict) -> tuple:
        return _ok({"nonce": "lab", "time": self._job["time"]})

    def _login(self, doc: dict) -> tuple:
        return _ok({"token": "lab", "expires_in": 3600, "poll_interval": 60, "last_report": 0})

    def _report(self, doc: dict) -> tuple:
        for report in doc["reports"]:
            self.reports.append([report["state"], report["code"]])
        return _ok({"accepted": [report["id"] for report in doc["reports"]]})

    def _poll(self, doc: dict) -> tuple:
        case = self._case
        self._polls += 1
        told = [r for r in self.reports if r[0] in ("failed", "confirmed", "reverted")]
        following = str(doc["key_set"] + 1)
        more = following in case["keysets"] and self._polls < 5
        if (len(told) >= case["rounds"] and not more) or self._polls > 12:
            raise ends.Settled
        offer = {"rollout": 1, "seq": 9, "version": "1.1.0", "etag": self._etag(), "url": "/v1/packages/x"}
        offer.update(case["offer"])
        wanted = not told or case["rounds"] > 1
        answer = {"time": self._job["time"], "poll_interval": 60, "update": offer if wanted else None}
        if following in case["keysets"]:
            answer["keys"] = {"version": doc["key_set"] + 1, "url": "/v1/keysets/lab/" + following}
        answer.update(case["answer"])
        raw = json.dumps(answer).encode()
        if "poll" in case["replies"]:
            raw = b"".join([unhexlify(piece) * times for piece, times, _ in case["replies"]["poll"]])
        return self._proved(case["proof"], unhexlify(doc["nonce"]), raw)

    def _proved(self, proof: str, nonce: bytes, raw: bytes) -> tuple:
        """With the MAC that the case wants."""
        job, ds = self._job, unhexlify(self._job["ds"])
        if proof == "replay" and self._answers:
            return self._answers[0]
        dn = "cellar" if proof == "of another board" else job["dn"]
        if proof == "with another secret":
            ds = bytes(32)
        if proof == "for another nonce":
            nonce = bytes(16)
        found = hexlify(mac.answer(ds, job["pk"], dn, nonce, raw)).decode()
        if proof == "as a log-in":
            found = hexlify(mac.login(ds, job["pk"], dn, "lab", nonce)).decode()
        if proof == "changed after":
            raw = raw.replace(b"1.1.0", b"1.1.1")
        if proof == "replay":
            raw = raw.replace(b'"update"', b'"nothing"')
            found = hexlify(mac.answer(ds, job["pk"], dn, nonce, raw)).decode()
        headers = {} if proof == "none" else {"Driblet-Mac": found}
        answer = "200 OK", headers, raw
        self._answers.append(answer)
        return answer


def _ok(doc: dict) -> tuple:
    return "200 OK", {}, json.dumps(doc).encode()


def _http(status: str, headers: dict, body: bytes) -> list:
    lines = ["HTTP/1.1 " + status] + ["%s: %s" % (name, headers[name]) for name in headers]
    if not status.startswith("204"):
        lines.append("Content-Length: %d" % len(body))
    return [(("\r\n".join(lines) + "\r\n\r\n").encode() + body, 1, 0)]
