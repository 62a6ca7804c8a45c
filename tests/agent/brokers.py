"""Brokers that do what a test says: raw sockets in threads."""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

CONNACK, SUBACK = b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x01"


def packet(connection: socket.socket) -> tuple[int, bytes]:
    """(first byte, body) of the next packet; (0, b"") at the end."""
    head = connection.recv(1)
    if not head:
        return 0, b""
    n = shift = 0
    while True:
        byte = connection.recv(1)[0]
        n |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    body = b""
    while len(body) < n:
        body += connection.recv(n - len(body))
    return head[0], body


@dataclass
class RawBroker:
    """After CONNECT it sends `answer`; then `then` has the connection, if given."""

    answer: bytes = CONNACK
    then: Callable[["RawBroker", socket.socket], Any] | None = None
    context: ssl.SSLContext | None = None
    port: int = 0
    packets: list[tuple[int, bytes]] = field(default_factory=list)
    at: list[float] = field(default_factory=list)  # when boards connected

    def __enter__(self) -> "RawBroker":
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()

    @property
    def url(self) -> str:
        host = "localhost" if self.context else "127.0.0.1"
        return f"{'mqtts' if self.context else 'mqtt'}://{host}:{self.port}"

    def said(self, kind: str) -> list[bytes]:
        """Bodies of the messages whose topic names `kind`."""
        found = []
        for head, body in self.packets:
            size = int.from_bytes(body[:2], "big")
            if head == 0x30 and f"/{kind}/".encode() in body[2 : 2 + size]:
                found.append(body[2 + size :])
        return found

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(20)
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            self._open.append(connection)
            self.packets.append(packet(connection))
            self.at.append(time.monotonic())
            connection.sendall(self.answer)
            if self.then:
                self.then(self, connection)
            connection.close()
        except OSError:
            return


def listen(broker: RawBroker, connection: socket.socket) -> None:
    """A broker like any other: confirms subscriptions, answers pings, keeps what it hears."""
    while True:
        head, body = packet(connection)
        if not head:
            return
        broker.packets.append((head, body))
        if head == 0x82:
            connection.sendall(b"\x90\x03" + body[:2] + b"\x01")
        if head == 0xC0:
            connection.sendall(b"\xd0\x00")
