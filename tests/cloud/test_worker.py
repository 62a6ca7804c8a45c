"""The real differ in a real process: signed, verified, and applied by the device's decoder."""

import os
import random
import signal
from pathlib import Path

import pytest
from otacloud.engine import ProcessEngine
from otaspec import comb, keyset, verify

from tests.cloud.kit import Clock, Service, image, started

pytestmark = pytest.mark.slow


def pair(size: int = 60_000) -> tuple[bytes, bytes]:
    """Two images that differ in some places."""
    old = bytearray(random.Random(1).randbytes(size))
    new = bytearray(old)
    for at in range(500, size, 7000):
        new[at : at + 8] = b"CHANGED!"
    return image(bytes(old), size), image(bytes(new), size)


async def test_a_release_becomes_packages_that_a_board_accepts(tmp_path: Path, clock: Clock) -> None:
    old, new = pair()
    async with started(tmp_path, clock, ProcessEngine(1)) as service:
        product = await service.product()
        await service.release("1.0.0", old)
        full = (await service.built("1.0.0"))["jobs"][0]
        assert full["state"] == "done", full
        await _use(service, product, old)
        await service.release("1.1.0", new)
        [_, delta] = (await service.built("1.1.0"))["jobs"]
        assert delta["state"] == "done", delta
        assert delta["size"] < 2000
        data = (await service.http.get("/v1/packages/" + delta["sha256"])).content
        public = bytes.fromhex(product["public_key"])
        keys = keyset.KeySet([keyset.Key(public, table=comb.make_table(public))])
        manifest = verify.open_package(data, keys)
        assert (manifest.product, manifest.version, manifest.seq) == ("thermostat", "1.1.0", 2)


async def _use(service: Service, product: dict[str, str], running: bytes) -> None:
    import hashlib

    from tests.cloud.kit import joined

    board = await joined(service, product, "kitchen")
    await board.poll(image_sha256=hashlib.sha256(running).hexdigest())


async def test_a_killed_worker_is_replaced(tmp_path: Path, clock: Clock) -> None:
    engine = ProcessEngine(1)
    async with started(tmp_path, clock, engine) as service:
        await service.product()
        await service.release("1.0.0", pair()[0])
        while not (engine._pool and engine._pool._processes):
            await service.call("GET", "/products")
        for pid in list(engine._pool._processes):
            os.kill(pid, signal.SIGKILL)
        [job] = (await service.built("1.0.0"))["jobs"]
        assert (job["state"], job["attempts"]) == ("done", 2)
