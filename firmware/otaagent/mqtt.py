"""MQTT: a broker's word to poll now, and what goes on here for who listens (PROTOCOL.md section 6).

Nothing waits for this. Whatever a broker does ends in a wait here at most, and polls go on.
"""

import asyncio
import json
import os

from micropython import const
from otaspec import mqtt as wire
from otaspec.errors import ServerError, coarse, error

from . import http

_ANSWER_INVALID = const(305)
_LOGIN_REFUSED = const(308)

_SILENCE = const(90000)  # ms
_LONGEST = const(16384)  # bytes of a packet
_MANY = const(100)  # packets in a gap
_TICK = const(2)  # s between two looks at what goes on here
_GAP = const(5)  # ticks between two polls that messages cause
_PING = const(45)  # s
_GOOD = const(60)  # s that a connection must have lasted to be one that works
_FIRST_WAIT = const(5)  # s
_LONGEST_WAIT = const(3600)
_PROGRESS = ("downloading", "applying", "verifying", "rebooting", "failed")


class Broker(http.Client):
    """The connection to the broker of the setting `mqtt`; `agent.wake` is what a message sets."""

    def __init__(self, agent: "Agent") -> None:
        config = agent.config
        http.Client.__init__(self, agent.client.context, bool(config.dev), config.timeout)
        self._agent = agent
        self._upgrade = wire.topic("upgrade", config.pk, config.dn).encode()
        self._writing = asyncio.Lock()
        self._id = 0
        self._gap = 0  # ticks until the next message may cause a poll
        self._more = False  # one has come meanwhile
        self._packets = 0  # in this gap
        self._good = False

    async def run(self) -> None:
        """For ever; begins once a server has said the time, and this board has a secret."""
        agent, wait = self._agent, _FIRST_WAIT
        while not agent.now() or not agent.config.ds:
            await asyncio.sleep(1)
        while True:
            self._good = False
            talk = None
            try:
                await self._enter(agent.config)
                talk = asyncio.create_task(self._talk())
                while True:
                    await self._packet()
            except Exception as e:  # out of memory beside a decoder, too: there is another time
                agent.log("mqtt:", e)
            if talk:
                talk.cancel()
            self.close()
            if self._good:
                wait = _FIRST_WAIT
            # Boards that lost their broker together must not come back together.
            await asyncio.sleep_ms(wait * 500 + int.from_bytes(os.urandom(2), "big") * wait * 1000 // 65536)
            wait = min(2 * wait, _LONGEST_WAIT)

    async def _enter(self, config: "Config") -> None:
        """Connect, log in, ask for our topic."""
        where = origin(config.mqtt)
        self._ms = config.timeout * 1000
        self._at = self._end = 0
        await self._connect(where)
        names = wire.client_id(config.pk, config.dn, where[0]), wire.username(config.pk, config.dn)
        await self._put(wire.connect(*names, wire.password(config.ds, config.pk, config.dn)))
        if await self._byte() != 0x20 or await self._length() != 2:
            raise self._invalid("no CONNACK")
        await self._byte()
        code = await self._byte()
        if code:
            raise error(_LOGIN_REFUSED, "broker: %d" % code)
        self._ms = _SILENCE
        await self._put(wire.subscribe(1, self._upgrade.decode(), 1))

    # -- out ---------------------------------------------------------------------------------------

    async def _talk(self) -> None:
        """Say what runs here, then what goes on; ping; let late messages have their poll."""
        agent, told, age, quiet = self._agent, None, 0, 0
        try:
            await self._say("inform", {"version": agent.board.version})
            while True:
                await asyncio.sleep(_TICK)
                age, quiet = age + _TICK, quiet + _TICK
                self._good = self._good or age >= _GOOD
                self._tick()
                s = agent.status
                now = s["state"], s["step"], s["code"]
                if now != told and now[0] in _PROGRESS:
                    told, quiet = now, 0
                    await self._say("progress", _progress(*now))
                elif quiet >= _PING:
                    quiet = 0
                    await self._put(wire.PINGREQ)
        except ServerError as e:
            agent.log("mqtt:", e)  # the stream is closed: the other task ends, too

    async def _say(self, kind: str, params: dict) -> None:
        config = self._agent.config
        self._id += 1
        params["module"] = "default"
        body = json.dumps({"id": str(self._id), "params": params})
        await self._put(wire.publish(wire.topic(kind, config.pk, config.dn), body.encode()))

    async def _put(self, packet: bytes) -> None:
        async with self._writing:
            self._stream.out_buf = packet
            await self._timed(self._stream.drain())

    # -- in ----------------------------------------------------------------------------------------

    async def _packet(self) -> None:
        """One packet that this board takes; ANSWER_INVALID for any other."""
        head, n = await self._byte(), await self._length()
        self._packets += 1
        if self._packets > _MANY:
            raise self._invalid("packets without end")
        if head >> 4 == 3:
            await self._message(head, n)
        elif (head, n) == (0x90, 3):  # SUBACK
            await self._skip(2)
            code = await self._byte()
            if code == 0x80:
                raise error(_LOGIN_REFUSED, "broker: no " + self._upgrade.decode())
        elif (head, n) != (0xD0, 0):  # PINGRESP
            raise self._invalid("packet %02x of %d bytes" % (head, n))

    async def _message(self, head: int, n: int) -> None:
        qos, topic = head >> 1 & 3, self._upgrade
        n -= 2 + len(topic) + 2 * qos
        if qos > 1 or n < 0 or await self._number() != len(topic):
            raise self._invalid("message %02x" % head)
        for expected in topic:
            if await self._byte() != expected:
                raise self._invalid("not our topic")
        number = await self._number() if qos else 0
        await self._skip(n)  # whatever it says: it means "poll now"
        if qos:
            await self._put(wire.puback(number))
        self._more = True
        self._wake()

    def _tick(self) -> None:
        if self._gap:
            self._gap -= 1
        if not self._gap:
            self._packets = 0
            self._wake()

    def _wake(self) -> None:
        """Poll now, if there was a message, and not too soon after the last, nor before a server wants it."""
        if self._more and not self._gap and not self._agent.told_to_wait:
            self._more, self._gap = False, _GAP
            self._agent.wake.set()

    async def _length(self) -> int:
        n = shift = 0
        while True:
            byte = await self._byte()
            n |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
            if shift == 28:
                raise self._invalid("length of a packet")
        if n > _LONGEST:
            raise self._invalid("packet of %d bytes" % n)
        return n

    async def _number(self) -> int:
        high = await self._byte()
        return high << 8 | await self._byte()

    async def _byte(self) -> int:
        await self._some()
        self._at += 1
        return self._buf[self._at - 1]

    async def _skip(self, n: int) -> None:
        while n:
            await self._some()
            part = min(n, self._end - self._at)
            self._at += part
            n -= part

    async def _some(self) -> None:
        """At least one byte in the buffer."""
        if self._at == self._end:
            self._at, self._end = 0, await self._receive(self._mv)
            if not self._end:
                raise self._lost("closed")


def _progress(state: str, step: int, code: int) -> dict:
    if state == "failed" and code:
        step = coarse(code)
    return {"step": str(step), "desc": "%s %d" % (state, code) if code else state}


def origin(url: str) -> tuple:
    """mqtt:// or mqtts:// -> as http.split; ANSWER_INVALID where it is neither."""
    scheme, _, rest = url.partition("://")
    if scheme not in ("mqtt", "mqtts"):
        raise error(_ANSWER_INVALID, "not a broker: " + url[:60])
    if ":" not in rest:
        rest += ":8883" if scheme == "mqtts" else ":1883"
    return http.split("http" + scheme[4:] + "://" + rest)
