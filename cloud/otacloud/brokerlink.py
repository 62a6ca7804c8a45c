"""An MQTT broker elsewhere (Mosquitto, say): the service is one of its clients."""

import asyncio
import os
import random
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import structlog
from otaspec import mqtt
from otaspec.errors import InputError, code

from otacloud.broker import Hear, Refused, packet

log = structlog.get_logger()

WAITING = 1_000  # notices that may wait for the broker; what comes then is dropped, as boards poll anyway
FIRST_WAIT, LONGEST_WAIT = 1.0, 15.0  # seconds before another try
PATIENCE = 10  # seconds for one answer


Begin = Callable[["Link"], Awaitable[None]]


class Link:
    """`url`: mqtt(s)://user:password@host:port. `ca`: PEM file of the CA to trust instead of the system's.

    `begin` is called whenever the broker is there, also again: boards may have come that nobody heard.
    """

    def __init__(self, url: str, ca: Path | None, hear: Hear, begin: Begin) -> None:
        found = urlsplit(url)
        if found.scheme not in ("mqtt", "mqtts") or not found.hostname:
            raise InputError(
                code("REQUEST_INVALID"), "DRIBLET_MQTT_URL is not mqtt(s)://user:password@host:port"
            )
        self._host = found.hostname
        self._context: ssl.SSLContext | None = None
        if found.scheme == "mqtts":
            self._context = ssl.create_default_context(cafile=ca)
        self._port = found.port or (8883 if self._context else 1883)
        self._names = unquote(found.username or ""), unquote(found.password or "")
        self._hear = hear
        self._begin = begin
        self._queue: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(WAITING)
        self._id = 0
        self.up = False

    def connected(self, pk: str, dn: str) -> None:
        """Only the broker knows."""

    def count(self, pk: str) -> None:
        """Only the broker knows."""

    def publish(self, topic: str, body: bytes) -> None:
        if not self._queue.full():
            self._queue.put_nowait((topic, body))

    async def run(self) -> None:
        """Until it is cancelled."""
        wait = FIRST_WAIT
        while True:
            try:
                async with asyncio.timeout(PATIENCE):
                    stream, writer = await asyncio.open_connection(self._host, self._port, ssl=self._context)
                try:
                    await self._enter(stream, writer)
                    log.info("connected to the broker", host=self._host, port=self._port)
                    wait = FIRST_WAIT
                    self.up = True
                    await self._begin(self)
                    await self._stay(stream, writer)
                finally:
                    self.up = False
                    writer.close()
            except (OSError, EOFError, Refused, TimeoutError) as problem:
                log.warning("no broker", host=self._host, port=self._port, problem=repr(problem))
            await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            wait = min(2 * wait, LONGEST_WAIT)

    async def _enter(self, stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(mqtt.connect("driblet-" + os.urandom(6).hex(), *self._names))
        async with asyncio.timeout(PATIENCE):
            answer = await packet(stream)
        if answer[:2] != b"\x20\x02" or answer[3]:
            raise Refused(f"CONNACK {answer.hex()}")
        for number, kind in enumerate(("inform", "progress"), 1):
            writer.write(mqtt.subscribe(number, mqtt.topic(kind, "+", "+"), 0))

    async def _stay(self, stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.create_task(self._talk(writer))
        try:
            while True:
                async with asyncio.timeout(1.5 * mqtt.KEEP_ALIVE):
                    self._take(await packet(stream))
        finally:
            talk.cancel()
            await asyncio.wait([talk])  # not `await talk`: that could swallow our own end
            if not talk.cancelled():
                log.warning("no broker", problem=repr(talk.exception()))

    def _take(self, raw: bytes) -> None:
        """What boards say; answers to what we sent tell us nothing."""
        if raw[0] & 0xF6 != 0x30:
            return
        body = raw[2 if raw[1] < 128 else 3 :]
        topic = body[2 : 2 + int.from_bytes(body[:2], "big")].decode(errors="replace")
        parts = topic.split("/")
        if len(parts) == 6 and parts[:3] == ["", "ota", "device"]:
            self._hear(*parts[3:])

    async def _talk(self, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                async with asyncio.timeout(mqtt.KEEP_ALIVE * 0.75):
                    topic, body = await self._queue.get()
            except TimeoutError:
                writer.write(mqtt.PINGREQ)
            else:
                self._id = self._id % 65535 + 1
                writer.write(mqtt.publish(topic, body, self._id))
            await writer.drain()
