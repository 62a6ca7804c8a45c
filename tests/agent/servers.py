"""Servers that misbehave on purpose: raw sockets in threads, one reaction for each path."""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

Reaction = Callable[[socket.socket, bytes], bool]


@dataclass
class RawServer:
    """Answers path P with `reactions[P](connection, request)`, which returns whether to keep it open."""

    reactions: dict[str, Reaction]
    context: ssl.SSLContext | None = None
    name: str = "127.0.0.1"
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)

    def __enter__(self) -> "RawServer":
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which would take one more else
        self._listener.close()

    @property
    def url(self) -> str:
        return f"{'https' if self.context else 'http'}://{self.name}:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            with connection:
                while head := _request(connection):
                    self.requests.append(head)
                    path = head.split(b" ")[1].decode()
                    if not self.reactions[path](connection, head):
                        return
        except OSError:  # the client went away, or refused our certificate
            return


def _request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(4096)
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(h[15:]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(4096)
    return head + b"\r\n\r\n" + body


def send(*parts: bytes, keep: bool = True, pause: float = 0) -> Reaction:
    """The reaction that sends `parts`, `pause` seconds apart."""

    def react(connection: socket.socket, _: bytes) -> bool:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        return keep

    return react


def ok(body: bytes, *headers: str) -> bytes:
    """A plain 200."""
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
