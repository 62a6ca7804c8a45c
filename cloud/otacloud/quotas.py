"""How often one address, one board and one tenant may call. In memory: forgotten at each start.

A call too many is answered 429 with Retry-After; boards take that as deferred, not as failed.
"""

import ipaddress
from collections.abc import Hashable
from math import ceil
from time import monotonic

from starlette.exceptions import HTTPException
from starlette.types import Scope

from otacloud.metrics import Metrics
from otacloud.settings import Settings

BURST = 10.0  # seconds' worth of calls that may come at once
SIGN_INS = (1 / 3, 20)  # a second, and at once: each costs some 50 ms of argon2
ROOM = 10_000  # keys that are kept without asking whether they still matter


class Meter:
    """`rate` calls a second for each key, and `at_once` of them in a moment; rate 0: any number.

    GCRA (ITU-T I.371): all that is kept of a key is the moment from which it is as if it had never called.
    """

    def __init__(self, rate: float, at_once: float = 0) -> None:
        self.rate = rate
        self._step = 1 / rate if rate else 0.0
        self._slack = (at_once or max(1.0, rate * BURST)) * self._step - self._step
        self._even: dict[Hashable, float] = {}
        self._room = ROOM

    def wait(self, key: Hashable) -> float:
        """0 where the call may be made, which counts it; else the seconds until one may."""
        if not self._step:
            return 0.0
        now = monotonic()
        at = max(self._even.get(key, now), now)
        if at - now > self._slack:
            return at - now - self._slack
        self._even[key] = at + self._step
        if len(self._even) > self._room:
            self._tidy(now)
        return 0.0

    def _tidy(self, now: float) -> None:
        self._even = {key: at for key, at in self._even.items() if at > now}
        self._room = max(ROOM, 2 * len(self._even))


class Quotas:
    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._reads = Meter(settings.address_reads)
        self._writes = Meter(settings.address_writes)
        self._sign_ins = Meter(*SIGN_INS) if settings.address_writes else Meter(0)
        self._device = Meter(settings.device_calls)
        self._tenant = Meter(settings.tenant_calls)
        self._metrics = metrics

    def address(self, scope: Scope) -> HTTPException | None:
        """What to refuse a request with, by where it comes from: before anything else is known of it."""
        path, client = scope["path"], scope.get("client")
        if path == "/sign-in" and scope["method"] == "POST":
            meter, what = self._sign_ins, "sign-ins"
        elif path == "/v1/poll" or scope["method"] in ("GET", "HEAD"):
            meter, what = self._reads, "reads"
        else:
            meter, what = self._writes, "writes"
        return self._look(meter, network(client[0]) if client else "", what, "address")

    def device(self, device_id: int) -> None:
        """HTTPException 429 where the board calls too often."""
        if problem := self._look(self._device, device_id, "calls", "device"):
            raise problem

    def tenant(self, tenant_id: int) -> None:
        """HTTPException 429 where the tenant's boards, people and programs together call too often."""
        if problem := self._look(self._tenant, tenant_id, "calls", "tenant"):
            raise problem

    def _look(self, meter: Meter, key: Hashable, what: str, whose: str) -> HTTPException | None:
        seconds = meter.wait(key)
        if not seconds:
            return None
        self._metrics.throttled.labels(whose).inc()
        number, unit = (meter.rate, "second") if meter.rate >= 1 else (60 * meter.rate, "minute")
        after = str(ceil(seconds))
        said = f"at most {number:g} {what} a {unit} for one {whose}; again in {after} s"
        return HTTPException(429, said, {"Retry-After": after})


def network(address: str) -> str:
    """Who an address stands for: itself, or the /64 that one customer gets of IPv6."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address
