"""One server of ours: log-in, registration, authenticated calls (PROTOCOL.md)."""

import json
import os
import time
from binascii import hexlify, unhexlify

from micropython import const
from otaspec import mac
from otaspec.errors import error

from . import config as settings
from .http import join, refused

_ANSWER_INVALID = const(305)
_LOGIN_REFUSED = const(308)
_APPROVAL_PENDING = const(309)
_ANSWER_MAC_WRONG = const(310)
_ALREADY_REGISTERED = const(313)

_LONGEST = const(16384)  # bytes of a JSON body
_LONGEST_NONCE = const(128)
_CODES = {202: _APPROVAL_PENDING, 401: _LOGIN_REFUSED, 409: _ALREADY_REGISTERED}


class Server:
    """`client`: http.Client; `base`: URL without a path; `config`: who we are (registering sets its `ds`)."""

    def __init__(self, client: "Client", base: str, config: "Config") -> None:
        self.base = base
        self.offset = None  # UNIX seconds less this board's clock, once the server has said them
        self._client = client
        self._config = config
        self._token = ""
        self._until = 0

    def now(self) -> int:
        """UNIX seconds, 0 while no server has said them."""
        return 0 if self.offset is None else int(time.time()) + self.offset

    async def log_in(self) -> int:
        """Log in, registering first where this board has no secret yet. Nothing to do with a fresh token.

        Returns the highest id of a report that the server has of this board.
        """
        if self._token and time.ticks_diff(self._until, time.ticks_ms()) > 0:
            return 0
        config = self._config
        if not config.ds:
            if not config.ps:
                raise error(_LOGIN_REFUSED, "neither a device secret nor a product secret is set")
            answer = await self._handshake("/v1/register", mac.register, config.ps)
            ds = _secret(answer.get("ds"))
            # Saved before the first log-in, which is when the server stops handing it out.
            settings.save_secret(ds)
            config.ds = ds
        answer = await self._handshake("/v1/login", mac.login, config.ds)
        self._token = _text(answer, "token", 1024)
        life = min(_number(answer, "expires_in"), 86400)
        self._until = time.ticks_add(time.ticks_ms(), life * 900)  # a tenth early
        return _number(answer, "last_report")

    async def call(self, path: str, doc: dict) -> dict:
        """POST `doc` with our token; the answer's JSON."""
        raw = await self._post(path, json.dumps(doc).encode(), self._token)
        return _json(raw)

    async def poll(self, inventory: dict, wait: int = 0) -> dict:
        """Ask for an update; ANSWER_MAC_WRONG unless the answer is this server's, for us, and fresh.

        `wait`: seconds for which the server may hold the answer until it has one.
        """
        nonce = os.urandom(16)
        doc = {"nonce": hexlify(nonce).decode()}
        doc.update(inventory)
        if wait:
            doc["wait"] = wait
        self._client.patience = wait * 1000
        try:
            raw = await self._post("/v1/poll", json.dumps(doc).encode(), self._token)
        finally:
            self._client.patience = 0
        config = self._config
        right = mac.answer(config.ds, config.pk, config.dn, nonce, raw)
        if not mac.equal(hexlify(right), self._client.headers.get("driblet-mac", "").encode()):
            raise error(_ANSWER_MAC_WRONG)
        answer = _json(raw)
        # Believed only here: this answer is fresh, and by one who knows our secret.
        now, clock = _number(answer, "time"), self._client.clock
        if not clock or clock.prove(now):
            self.offset = now - int(time.time())
        return answer

    async def upload_log(self, text: bytes) -> None:
        await self._post("/v1/log", text, self._token, "text/plain")

    def close(self) -> None:
        self._client.close()

    # --------------------------------------------------------------------------------------------

    async def _handshake(self, path: str, prove: "callable", secret: bytes) -> dict:
        """Challenge, then our proof that we know `secret`."""
        config = self._config
        doc = {"pk": config.pk, "dn": config.dn}
        challenge = _json(await self._post("/v1/challenge", json.dumps(doc).encode()))
        nonce = _text(challenge, "nonce", _LONGEST_NONCE)
        ours = os.urandom(16)
        doc["nonce"] = nonce
        doc["device_nonce"] = hexlify(ours).decode()
        doc["mac"] = hexlify(prove(secret, config.pk, config.dn, nonce, ours)).decode()
        return _json(await self._post(path, json.dumps(doc).encode()))

    async def _post(self, path: str, body: bytes, token: str = "", kind: str = "application/json") -> bytes:
        headers = {"Content-Type": kind}
        if token:
            headers["Authorization"] = "Bearer " + token
        status = await self._client.open("POST", join(self.base, path), headers, body)
        raw = await self._client.read(_LONGEST)
        if status in (200, 201, 204):
            return raw
        if status == 401:
            self._token = ""
        raise refused(self._client, _CODES, "%s %s" % (path, _name(raw)))


def _name(raw: bytes) -> str:
    """The server's name for an error, where it gave one."""
    try:
        return str(json.loads(raw)["error"])[:40]
    except (ValueError, KeyError, TypeError):
        return ""


def _json(raw: bytes) -> dict:
    try:
        answer = json.loads(raw)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise error(_ANSWER_INVALID, "not a JSON object: " + repr(raw[:40]))
    return answer


def _number(answer: dict, name: str) -> int:
    value = answer.get(name)
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise error(_ANSWER_INVALID, name)
    return value


def _text(answer: dict, name: str, longest: int) -> str:
    value = answer.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= longest or "\r" in value or "\n" in value:
        raise error(_ANSWER_INVALID, name)
    return value


def _secret(value: object) -> bytes:
    try:
        raw = unhexlify(value)
    except (ValueError, TypeError):
        raw = b""
    if len(raw) != 32:
        raise error(_ANSWER_INVALID, "ds")
    return raw
