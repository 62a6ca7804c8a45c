"""Layer 2, what is around a board: network, clock, CDN, server. Real processes, real sockets."""

import asyncio
import time
from asyncio import to_thread
from pathlib import Path
from typing import Any

import pytest
from otacloud.client import Client
from otacloud.schemas import ProductIn, RolloutIn
from otasim.link import Link

from tests.agent import test_cloud as clouds
from tests.agent.service import Service
from tests.agent.station import Station, full, image, reported

pytestmark = pytest.mark.slow

YEARS = 365 * 86400
SECONDS = 120.0
PATIENT = {"wdt": 30_000, "checkin": 60, "timeout": 5}  # a loaded machine is no hung board


class Place:
    """A board that runs 1.0.0, a server that offers 1.1.0, and the link between the two."""

    def __init__(self, folder: Path, **about: Any) -> None:
        self.old, self.new = image("1.0.0"), image("1.1.0")
        self.folder = folder
        self.service = Service()
        self.package = full(self.new, **about)
        self.link: Link | None = None

    async def update(self, **setting: float) -> Station:
        """With the Link's settings as given: the update goes through, the old slot is as it was."""
        with self.service as service:
            service.release(self.package)
            async with Link("127.0.0.1", service.port) as self.link:
                for name, value in setting.items():
                    setattr(self.link, name, value)
                server = {"server": f"http://127.0.0.1:{self.link.port}"}
                board = Station(self.folder, service, self.old, PATIENT | server)
                await board.run(reported("confirmed"), seconds=SECONDS)
        assert board.slot(0, len(self.old)) == self.old
        assert board.slot(1, len(self.new)) == self.new
        assert "watchdog" not in board.exits()
        return board


@pytest.mark.parametrize("at", [700, 3000, 20_000, 70_000])
async def test_a_connection_cut_at_a_byte(tmp_path: Path, at: int) -> None:
    place = Place(tmp_path)
    await place.update(rate=150_000.0, cut_at=at)  # slow, so that little is under way when it breaks
    assert place.link
    assert place.link.cuts == 1
    # What was written is not fetched again; the calls beside the download take some 4 KB.
    assert place.link.down_bytes < len(place.package) + 4096 + 12_000


async def test_a_slow_link(tmp_path: Path) -> None:
    place = Place(tmp_path)
    began = time.monotonic()
    await place.update(rate=40_000.0)
    assert time.monotonic() - began > len(place.package) / 40_000.0


async def test_a_network_that_goes_away_for_a_while(tmp_path: Path) -> None:
    """Down when the board is half through its download, back two seconds later."""
    place = Place(tmp_path)

    async def outage() -> None:
        while not place.link or place.link.down_bytes < 40_000:
            await asyncio.sleep(0.01)
        place.link.up = False
        await asyncio.sleep(2)
        place.link.rate, place.link.up = None, True

    away = asyncio.create_task(outage())
    await place.update(rate=100_000.0)
    await away


@pytest.mark.parametrize("years", [-30, 30])
async def test_a_clock_that_is_wrong_by_decades(tmp_path: Path, years: int) -> None:
    """The board's own clock decides nothing: the server's, said in an authenticated answer, does."""
    now = time.time() + years * YEARS
    place = Place(tmp_path, not_after=int(now) + 3600)
    place.service.skew = years * YEARS
    await place.update()


async def test_a_release_that_has_expired_by_the_servers_clock(tmp_path: Path) -> None:
    """The same release, which the board's own clock would let pass."""
    place = Place(tmp_path, not_after=int(time.time()) + 3600)
    place.service.skew = YEARS
    with place.service as service:
        service.release(place.package)
        board = Station(tmp_path, service, place.old, PATIENT)
        await board.run(reported("failed", 209), seconds=SECONDS)
    assert board.slot(1, 32) == b"\xff" * 32


async def test_a_cdn_that_still_has_the_object_of_before(tmp_path: Path) -> None:
    """Twice another object under another ETag; then the new one breaks off, and its rest comes stale."""
    place = Place(tmp_path)
    stale = full(image("1.0.5"), seq=6, version="1.0.5")
    seen: list[str] = []

    def cdn(service: Service, _: bytes) -> Any:
        etag, size = service.offer["etag"] if service.offer else "", len(service.package)
        seen.append(etag)
        if len(seen) <= 2:
            return 200, {"ETag": '"stale"'}, stale
        if len(seen) == 3:  # less than its Content-Length says: the connection breaks
            return 200, {"ETag": etag, "Content-Length": str(size)}, service.package[:50_000]
        if len(seen) == 4:
            return (
                206,
                {"ETag": '"stale"', "Content-Range": f"bytes 49152-{size - 1}/{size}"},
                stale[49_152:size],
            )
        return None

    place.service.instead["/v1/packages"] = cdn
    await place.update()
    assert len(seen) >= 5


async def test_a_cdn_that_lies_about_what_it_has(tmp_path: Path) -> None:
    """The second half is of another object, under the right ETag: the hash says so; all is fetched anew."""
    place = Place(tmp_path)
    stale = full(image("1.0.5"), seq=6, version="1.0.5")
    seen: list[int] = []

    def cdn(service: Service, _: bytes) -> Any:
        seen.append(1)
        if len(seen) > 1 or not service.offer:
            return None
        half = len(service.package) // 2
        mixed = service.package[:half] + stale[half:].ljust(len(service.package) - half, b"\0")
        return 200, {"ETag": service.offer["etag"]}, mixed[: len(service.package)]

    place.service.instead["/v1/packages"] = cdn
    await place.update()


async def test_a_server_that_is_killed(tmp_path: Path) -> None:
    """The real cloud, killed in the middle of a download and started again on what it left behind."""
    old, new = image("1.0.0"), image("1.1.0", fill=60_000)
    process, said = clouds.serve(tmp_path / "cloud")
    token, killed = said["token"], False
    try:
        with Client(said["url"], token) as client:
            product = await to_thread(client.create_product, ProductIn(pk="thermostat", board="LINUX_HOST"))
            (tmp_path / "new.bin").write_bytes(new)
            await to_thread(client.upload_release, product.pk, "1.1.0", tmp_path / "new.bin")
            await to_thread(client.wait_release, product.pk, "1.1.0")
        async with Link("127.0.0.1", port_of(said["url"])) as link:
            link.rate = 60_000.0
            keys = {"keys": bytes.fromhex(product.public_key), "ps": bytes.fromhex(product.ps)}
            place = {"server": f"http://127.0.0.1:{link.port}"} | keys
            board = Station(tmp_path, Service(), old, PATIENT | place)

            async def life() -> None:
                nonlocal process, killed
                await board_is_known(said["url"], token, product.pk)
                with Client(said["url"], token) as client:
                    await to_thread(client.create_rollout, product.pk, RolloutIn(version="1.1.0"))
                start = link.down_bytes
                while link.down_bytes < start + 50_000:
                    await asyncio.sleep(0.01)
                process.kill()
                killed = True
                clouds.end(process)
                process, again = await to_thread(clouds.serve, tmp_path / "cloud")
                link.rate = None
                link.lead_to(port_of(again["url"]))

            story = asyncio.create_task(life())
            await board.run(lambda b: story.done() and "confirmed" in b.said(), seconds=SECONDS)
            await story
    finally:
        clouds.end(process)
    assert killed
    assert board.slot(0, len(old)) == old
    assert board.slot(1, len(new)) == new


async def board_is_known(url: str, token: str, product: str) -> None:
    with Client(url, token) as client:
        while not (await to_thread(client.devices, product)).devices:
            await asyncio.sleep(0.1)


def port_of(url: str) -> int:
    return int(url.rstrip("/").rsplit(":", 1)[1])
