"""Runs the application under uvicorn: one socket, a graceful end; an MQTT broker beside it, if one is set."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn
from otaspec.errors import InputError, code

from otacloud.app import create_app
from otacloud.services import Services

BACKLOG = 2048  # connections that may wait to be accepted
GRACE = 10  # seconds that calls under way may still take after SIGTERM


@dataclass(frozen=True)
class Listen:
    """Where to listen; port 0 takes a free one. `cert` and `key` (PEM files) switch TLS on."""

    host: str = "127.0.0.1"
    port: int = 8070
    cert: Path | None = None
    key: Path | None = None
    chosen_by: str = "--host and --port"

    def bind(self) -> socket.socket:
        """A socket that takes connections from now on: they wait until the service is ready.

        An address that is taken, or none of this machine's, is an InputError.
        """
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        # Named, or asyncio leaves Nagle's algorithm on: each answer would wait 40 ms for an ACK.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.host, self.port))
            listener.listen(BACKLOG)
        except OSError as problem:
            listener.close()
            evidence = f"{self.host}:{self.port}: {problem.strerror}; choose with {self.chosen_by}"
            raise InputError(code("REQUEST_INVALID"), evidence) from problem
        return listener

    def url(self, listener: socket.socket, scheme: str = "http") -> str:
        scheme += "s" if self.cert else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{listener.getsockname()[1]}"


class Server(uvicorn.Server):
    """Also ends the event streams of open pages, which would else hold up a graceful stop."""

    def __init__(self, config: uvicorn.Config, cloud: Services) -> None:
        super().__init__(config)
        self._cloud = cloud

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._cloud.hub.close()
        super().handle_exit(sig, frame)


@contextlib.asynccontextmanager
async def broker(cloud: Services, listen: Listen, door: socket.socket | None) -> AsyncIterator[None]:
    """Tells boards to poll meanwhile, by the broker of the settings: ours at `door`, or another by URL."""
    settings, notifier = cloud.settings, cloud.notifier
    if settings.mqtt_url:
        from otacloud.brokerlink import Link

        link = Link(settings.mqtt_url.get_secret_value(), settings.mqtt_ca, notifier.hear, notifier.begin)
        task = asyncio.create_task(link.run())
        try:
            yield
        finally:
            notifier.end()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    elif door:
        from otacloud.broker import Broker  # amqtt takes a third of a second to import

        context = None
        if listen.cert:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(listen.cert, listen.key)
        embedded = Broker(cloud.fleet, cloud.device_auth, cloud.hub, notifier.hear)
        await embedded.start(door, context)
        await notifier.begin(embedded)
        try:
            yield
        finally:
            notifier.end()
            await embedded.close()
    else:
        yield


async def serve(
    cloud: Services, listen: Listen, listener: socket.socket, door: socket.socket | None = None
) -> None:
    """Answers until SIGTERM or SIGINT; `door`: where the embedded broker listens."""
    config = uvicorn.Config(
        create_app(cloud),
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE,
        ssl_certfile=listen.cert,
        ssl_keyfile=listen.key,
    )
    async with broker(cloud, listen, door):
        await Server(config, cloud).serve(sockets=[listener])
