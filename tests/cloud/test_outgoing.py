"""Calls out go only where a stranger could call too, to the address that was checked."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator

import pytest
from otacloud import outgoing
from otaspec.errors import OtaError


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "https://example.com:22/",
        "ftp://example.com",
        "https://user:pw@example.com/",
        "https:///nohost",
        "javascript:alert(1)",
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(OtaError):
        outgoing.check_url(url, [])


def test_allowed_hosts_may_be_anything() -> None:
    assert outgoing.check_url("http://hooks.lan:9000/x", ["hooks.lan"]).port == 9000


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("::1", "fe80::1", "fc00::1", "::ffff:10.0.0.1", "224.0.0.1", "255.255.255.255"),
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    with pytest.raises(OtaError, match="not public"):
        outgoing.pick(["93.184.216.34", address], "example.com", [])


def test_signature_is_what_a_receiver_computes() -> None:
    at, mac = outgoing.sign(b"secret", 1_700_000_000, b'{"a": 1}').split(",")
    expected = hmac.new(b"secret", b'1700000000.{"a": 1}', hashlib.sha256).hexdigest()
    assert (at, mac) == ("t=1700000000", f"v1={expected}")


class Receiver:
    """A real HTTP server on loopback that keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        self.got.append(head + await reader.readexactly(length))
        writer.write(self.answer)
        await writer.drain()
        writer.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


async def test_connects_to_the_address_and_names_the_host(receiver: Receiver) -> None:
    url = f"http://hooks.lan:{receiver.port}/alarms?x=1"
    status = await outgoing.post(url, b"{}", {"X-A": "b"}, ["hooks.lan"], lambda _h, _p: ["127.0.0.1"])
    assert status == 204
    [got] = receiver.got
    assert got.startswith(b"POST /alarms?x=1 HTTP/1.1\r\n")
    assert f"Host: hooks.lan:{receiver.port}".encode() in got


async def test_follows_no_redirect(receiver: Receiver) -> None:
    receiver.answer = (
        f"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:{receiver.port}/again\r\n"
        "Content-Length: 0\r\nConnection: close\r\n\r\n"
    ).encode()
    url = f"http://hooks.lan:{receiver.port}/"
    assert await outgoing.post(url, b"{}", {}, ["hooks.lan"], lambda _h, _p: ["127.0.0.1"]) == 307
    assert len(receiver.got) == 1


async def test_a_name_that_points_inside_is_not_called(receiver: Receiver) -> None:
    with pytest.raises(OtaError, match="not public"):
        await outgoing.post("https://rebind.example/", b"{}", {}, [], lambda _h, _p: ["127.0.0.1"])
    assert receiver.got == []
