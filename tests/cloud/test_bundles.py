"""Bundles: they come with an image or a reissue, are in its packages, and boards are told apart by them."""

import hashlib
from typing import Any

import pytest
from otaspec import bundle

from tests.cloud.engines import QuickEngine
from tests.cloud.kit import Service, image, joined

ONE, TWO = (bundle.build({"app.py": text}) for text in (b"one", b"two"))
SHA_ONE, SHA_TWO = (hashlib.sha256(each).hexdigest() for each in (ONE, TWO))
RELEASES = "/products/thermostat/releases"


@pytest.fixture
async def product(service: Service) -> dict[str, Any]:
    return await service.product()


async def test_an_image_comes_after_its_bundle(
    service: Service, product: dict[str, Any], engine: QuickEngine
) -> None:
    made = await service.release("1.0.0", ONE + image(), bundle_size=len(ONE))
    assert (made["bundle_sha256"], made["bundle_size"]) == (SHA_ONE, len(ONE))
    assert (made["image_size"], made["image_sha256"]) == (
        len(image()),
        hashlib.sha256(image()).hexdigest(),
    )
    await service.built("1.0.0")
    [work] = engine.done
    assert (work.bundle, work.target, work.options["bundle"]) == (ONE, image(), SHA_ONE)


@pytest.mark.parametrize(
    ("data", "size", "name"),
    [
        (image(), 100, "BUNDLE_INVALID"),
        (ONE + image(), len(ONE) - 1, "BUNDLE_INVALID"),
        (ONE, len(ONE) + 1, "BUNDLE_INVALID"),
        (ONE, len(ONE), "IMAGE_RAW"),
        (bundle.build({"otaspec/a.py": b""}) + image(), 33, "BUNDLE_INVALID"),
    ],
)
async def test_what_is_no_bundle(
    service: Service, product: dict[str, Any], data: bytes, size: int, name: str
) -> None:
    refused = await service.release("1.0.0", data, status=400, bundle_size=size)
    assert refused["error"] == name
    assert await service.call("GET", RELEASES) == []


async def test_other_files_for_the_image_that_runs(
    service: Service, product: dict[str, Any], engine: QuickEngine
) -> None:
    """A reissue with a bundle: boards with the image but not the files get these alone."""
    await service.release("1.0.0", image())
    await service.built("1.0.0")
    runs = {"image_sha256": hashlib.sha256(image()).hexdigest(), "seq": 1}
    board = await joined(service, product, "kitchen")
    await board.poll(**runs, bundle="")
    made = await service.call("POST", f"{RELEASES}/1.0.0/reissue?as=1.0.1", 201, content=TWO)
    assert (made["bundle_sha256"], made["image_sha256"]) == (SHA_TWO, runs["image_sha256"])
    jobs = (await service.built("1.0.1"))["jobs"]
    alone = next(job for job in jobs if job["base_sha256"] == runs["image_sha256"])
    assert any((work.base, work.target, work.bundle) == (image(), image(), TWO) for work in engine.done)
    again = await service.call("POST", f"{RELEASES}/1.0.1/reissue?as=1.0.2", 201)
    assert again["bundle_sha256"] == SHA_TWO  # which it keeps
    await service.call("POST", "/products/thermostat/rollouts", 201, json={"version": "1.0.1"})
    offer = (await board.poll(**runs, bundle=SHA_ONE))["update"]
    assert offer["etag"] == f'"{alone["sha256"]}"'
    assert alone["sha256"] in offer["url"]
    assert (await board.poll(**runs | {"seq": made["seq"]}, bundle=SHA_TWO))["update"] is None
    shown = await service.call("GET", "/products/thermostat/devices/kitchen")
    assert (await service.call("GET", "/products/thermostat/rollouts"))[0]["state"] == "done"
    assert shown["inventory"]["bundle"] in (SHA_ONE, SHA_TWO)
