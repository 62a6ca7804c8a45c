"""The embedded MQTT broker: amqtt, behind a door of ours (PROTOCOL.md section 6).

amqtt forgets a session before it looks at the password of the newcomer, keeps packets of any length and dead
connections, and sends wills past its rules. So the door reads CONNECT and every packet first: what gets to
amqtt is small, of a device that has proved who it is, and under the id that we gave it.
"""

import asyncio
import contextlib
import logging
import re
import socket
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, NamedTuple

from amqtt.adapters import ReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker as Amqtt
from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from otaspec import mqtt

from otacloud.deviceauth import DeviceAuth
from otacloud.events import Event, Hub
from otacloud.fleet import Fleet, Secret

PATIENCE = 10  # seconds for a CONNECT
LONGEST = 4_096  # bytes of a packet
BURST, RATE = 50, 5  # packets of a connection at first, and in a second
DOORS = 64  # connections that may be without a name
MOST = 10_000  # connections
KINDS = frozenset({0x3, 0x4, 0x8, 0xA, 0xC, 0xE})  # PUBLISH, PUBACK, (UN)SUBSCRIBE, PINGREQ, DISCONNECT

REFUSED = b"\x20\x02\x00\x05"
NAMES = re.compile(r"([A-Za-z0-9_.-]{1,64})&([A-Za-z0-9_.-]{1,64})")
CLIENT_ID = re.compile(r"([^|]{1,129})\|([^|]{1,200})\|")

Names = tuple[str, str]  # pk, dn
Hear = Callable[[str, str, str], None]  # inform or progress, pk, dn


class Refused(Exception):  # noqa: N818 - what happened
    """A CONNECT that is none, or of nobody we know."""


class Visitor(NamedTuple):
    """What a CONNECT says."""

    keep_alive: int
    client_id: str
    username: str
    password: str


async def packet(stream: asyncio.StreamReader) -> bytes:
    """The next packet, whole; Refused above LONGEST."""
    head = await stream.readexactly(1)
    n = shift = 0
    while True:
        byte = await stream.readexactly(1)
        head += byte
        n |= (byte[0] & 127) << shift
        shift += 7
        if byte[0] < 128:
            break
        if shift == 28:
            raise Refused("length")
    if n > LONGEST:
        raise Refused("length")
    return head + await stream.readexactly(n)


def visitor(raw: bytes) -> Visitor:
    """What the CONNECT in `raw` says; Refused where it is none of PROTOCOL.md section 6."""
    at = 2 if raw[1] < 128 else 3
    body = raw[at:]
    if raw[0] != 0x10 or body[:7] != b"\x00\x04MQTT\x04" or len(body) < 10 or body[7] & 0xFD != 0xC0:
        raise Refused("CONNECT")
    texts, at = [], 10
    while at < len(body):
        n = int.from_bytes(body[at : at + 2], "big")
        texts.append(body[at + 2 : at + 2 + n].decode(errors="replace"))
        at += 2 + n
    if at != len(body) or len(texts) != 3:
        raise Refused("CONNECT")
    return Visitor(int.from_bytes(body[8:10], "big"), *texts)


def claim(who: Visitor) -> tuple[str, str, str, str]:
    """(pk, dn, cid, timestamp) that the visitor claims; Refused where the names have no such form."""
    names, ident = NAMES.fullmatch(who.username), CLIENT_ID.fullmatch(who.client_id)
    if not names or not ident:
        raise Refused("names")
    said = dict(part.partition("=")[::2] for part in ident[2].split(","))
    timestamp = said.get("timestamp", "")
    if said.get("signmethod") != "hmacsha256" or not timestamp.isdigit() or len(timestamp) > 20:
        raise Refused("names")
    return names[2], names[1], ident[1], timestamp


class Reader(ReaderAdapter):  # type: ignore[misc]
    """Whole packets that a device may send, no faster than it may."""

    def __init__(self, stream: asyncio.StreamReader, first: bytes, keep_alive: int) -> None:
        self._stream = stream
        self._left = first
        self._patience = 1.5 * keep_alive or None
        self._tokens: float = BURST
        self._at = 0.0

    async def read(self, n: int = -1) -> bytes:
        if not self._left:
            try:
                async with asyncio.timeout(self._patience):
                    self._left = await self._next()
            except (Refused, TimeoutError, OSError, asyncio.IncompleteReadError):
                self._stream.feed_eof()
                raise asyncio.IncompleteReadError(b"", n) from None
        part, self._left = self._left[:n], self._left[n:]
        if len(part) != n:
            self._stream.feed_eof()
            raise asyncio.IncompleteReadError(part, n)
        return part

    async def _next(self) -> bytes:
        raw = await packet(self._stream)
        kind, flags = raw[0] >> 4, raw[0] & 15
        if kind not in KINDS or (kind == 3 and flags & 4):  # no QoS 2
            raise Refused("packet")
        now = asyncio.get_running_loop().time()
        self._tokens = min(BURST, self._tokens + (now - self._at) * RATE) - 1
        self._at = now
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / RATE)
        return bytes([raw[0] & 0xFE]) + raw[1:] if kind == 3 else raw  # nothing is retained

    def feed_eof(self) -> None:
        self._stream.feed_eof()


class Rules(BaseAuthPlugin, BaseTopicPlugin):  # type: ignore[misc]
    """amqtt's plugin: who got in has proved his name, and has three topics."""

    @dataclass
    class Config:
        hear: Any = None

    async def authenticate(self, *, session: Any) -> bool:  # noqa: ARG002 - the door has
        return True

    async def topic_filtering(self, *, session: Any = None, topic: Any = None, action: Any = None) -> bool:
        """A message from a device goes to the server and to nobody else: publishing is never allowed."""
        dn, _, pk = session.username.partition("&")
        if action == Action.PUBLISH:
            return False
        return bool(topic == mqtt.topic("upgrade", pk, dn))

    async def on_broker_message_received(self, *, client_id: str, message: Any) -> None:
        pk, _, dn = client_id.partition("&")
        for kind in ("inform", "progress"):
            if message and message.topic == mqtt.topic(kind, pk, dn):
                self.config.hear(kind, pk, dn)


@dataclass
class Guest:
    """A connection of a device."""

    secret: Secret
    writer: asyncio.StreamWriter
    gone: asyncio.Event


class Broker:
    """`hear(kind, pk, dn)` is called with what devices say."""

    def __init__(self, fleet: Fleet, auth: DeviceAuth, hub: Hub, hear: Hear) -> None:
        self._fleet = fleet
        self._auth = auth
        self._hear = hear
        self._guests: dict[Names, Guest] = {}
        self._by_id: dict[int, Names] = {}
        self._doors = asyncio.Semaphore(DOORS)
        self._open = 0
        self._tasks: set[asyncio.Task[None]] = set()
        hub.listen(self._on_event)

    async def start(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)  # it reports every guest that leaves
        logging.getLogger("transitions").setLevel(logging.ERROR)
        plugins = {f"{__name__}.{Rules.__name__}": {"hear": self._hear}}
        self._amqtt = Amqtt({"listeners": {"default": {"type": "external"}}, "plugins": plugins})
        await self._amqtt.start()
        self._server = await asyncio.start_server(self._come, sock=listener, ssl=context, limit=2 * LONGEST)

    async def close(self) -> None:
        self._server.close()
        for guest in list(self._guests.values()):
            guest.writer.transport.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._amqtt.shutdown()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # the outlet of notices

    up = True

    def connected(self, pk: str, dn: str) -> bool:
        return (pk, dn) in self._guests

    def count(self, pk: str) -> int:
        return sum(names[0] == pk for names in self._guests)

    def publish(self, topic: str, body: bytes) -> None:
        """Straight to who has subscribed: amqtt would compare the topic with everybody's."""
        for session, _ in self._amqtt.subscriptions.get(topic, ()):
            handler = self._amqtt.sessions.get(session.client_id, (None, None))[1]
            if handler:
                self._spawn(handler.mqtt_publish(topic, body, 1, retain=False))

    # the door

    async def _come(self, stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= MOST:
            writer.transport.abort()
            return
        self._open += 1
        try:
            async with self._doors:
                keep_alive, names, secret = await self._let_in(stream)
            if secret is None:
                writer.write(REFUSED)
                await writer.drain()
            else:
                await self._stay(stream, writer, keep_alive, names, secret)
        except (Refused, TimeoutError, OSError, asyncio.IncompleteReadError):
            pass  # no client of MQTT, or one that stopped half-way
        finally:
            self._open -= 1
            writer.close()

    async def _let_in(self, stream: asyncio.StreamReader) -> tuple[int, Names, Secret | None]:
        async with asyncio.timeout(PATIENCE):
            who = visitor(await packet(stream))
            try:
                pk, dn, cid, timestamp = claim(who)
            except Refused:
                pk, dn, cid, timestamp = "-", "-", "-", mqtt.TIMESTAMP  # the same work, the same answer
            secret = await self._fleet.secret(pk, dn)
        sealed = secret.ds_sealed if secret else None
        right = self._auth.check_broker(sealed, pk, dn, cid, timestamp, who.password)
        return who.keep_alive, (pk, dn), secret if right else None

    async def _stay(
        self,
        stream: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        keep_alive: int,
        names: Names,
        secret: Secret,
    ) -> None:
        before = self._guests.get(names)
        if before:  # amqtt would leave the old connection open, and deaf
            before.writer.transport.abort()
            async with asyncio.timeout(PATIENCE):
                await before.gone.wait()
        guest = Guest(secret, writer, asyncio.Event())
        self._guests[names], self._by_id[secret.device_id] = guest, names
        # Our name for it; the silence of a guest is the reader's affair, so no keep-alive here.
        first = mqtt.connect("&".join(names), mqtt.username(*names), "-", 0)
        try:
            adapter = Reader(stream, first, keep_alive)
            await self._amqtt.external_connected(adapter, StreamWriterAdapter(writer), "default")
        finally:
            guest.gone.set()
            if self._guests.get(names) is guest:
                del self._guests[names], self._by_id[secret.device_id]

    def _on_event(self, event: Event) -> None:
        if event.kind == "device" and event.id in self._by_id:
            self._spawn(self._check(self._by_id[event.id]))

    async def _check(self, names: Names) -> None:
        """A device that has been revoked, or has another secret now, has to go."""
        guest = self._guests.get(names)
        known = await self._fleet.get(guest.secret.device_id) if guest else None
        if guest and (known is None or known.generation != guest.secret.generation):
            guest.writer.transport.abort()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(_quiet(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _quiet(work: Coroutine[Any, Any, Any]) -> None:
    """A guest that left before he had read it: he polls by himself."""
    with contextlib.suppress(Exception):
        await work
