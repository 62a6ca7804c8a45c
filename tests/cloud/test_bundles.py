"""Bundles: they come with an image or a reissue, are in its packages, and boards are told apart by them."""

import hashlib
from typing import Any

import pytest
from otaspec import bundle

from tests.cloud.engines import QuickEngine
from tests.cloud.kit import Board, Service, image, joined

ONE, TWO = (bundle.build({"app.py": text}) for text in (b"one", b"two"))
SHA_ONE, SHA_TWO = (hashlib.sha256(each).hexdigest() for each in (ONE, TWO))
RELEASES, ROLLOUTS, DEVICES = (f"/products/thermostat/{each}" for each in ("releases", "rollouts", "devices"))


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


async def ready(service: Service, version: str, data: bytes, **options: Any) -> str:
    """A release with its packages; the hash of its image."""
    made = await service.release(version, data, **options)
    await service.built(version)
    return str(made["image_sha256"])


async def take(service: Service, board: Board, version: str, image_sha256: str, **says: Any) -> None:
    await board.poll()  # may ask for a delta
    await service.built(version)
    update = (await board.poll())["update"]
    assert update["version"] == version
    board.says |= {"image_sha256": image_sha256, "seq": update["seq"], "version": version, **says}
    await board.report(board.new_report(update, "confirmed", step=100))


async def test_an_agent_that_takes_no_bundle_waits_for_a_newer_one(
    service: Service, product: dict[str, Any]
) -> None:
    """Never offered, never failed, and the reason is shown; a release with the newer agent is the way."""
    old = await ready(service, "1.0.0", image(b"old"))
    board = await joined(service, product, "kitchen", image_sha256=old)
    newer = await joined(service, product, "hall", image_sha256=old, bundle="")
    new = await ready(service, "2.0.0", ONE + image(b"new"), bundle_size=len(ONE))
    await service.call("POST", ROLLOUTS, 201, json={"version": "2.0.0", "canary": 0})
    for _ in range(2):
        assert (await board.poll())["update"] is None
    await take(service, newer, "2.0.0", new, bundle=SHA_ONE)

    shown = await service.call("GET", f"{ROLLOUTS}/1")
    assert (shown["state"], shown["counts"]["waiting"], shown["counts"]["failed"]) == ("running", 1, 0)
    [held] = shown["held"]
    assert (held["dn"], held["attempts"], held["error"]["name"]) == ("kitchen", 0, "NEEDS_NEWER_AGENT")
    device = await service.call("GET", f"{DEVICES}/kitchen")
    assert (device["held"]["code"], device["held"]["detail"]) == (105, "the release 2.0.0")
    assert device["error"] is None
    assert (await service.call("GET", f"{DEVICES}/hall"))["held"] is None

    step = await ready(service, "1.5.0", image(b"step"))
    made = await service.call("GET", f"{RELEASES}/1.5.0")
    assert made["seq"] > 2  # numbers are given in the order of upload
    await service.call("POST", ROLLOUTS, 201, json={"version": "1.5.0", "devices": ["kitchen"]})
    await take(service, board, "1.5.0", step, bundle="")
    # (A place of an older release is closed by that: the bundle comes under a new number.)
    again = await service.call("POST", f"{RELEASES}/2.0.0/reissue?as=2.0.1", 201)
    await service.built("2.0.1")
    await service.call("POST", ROLLOUTS, 201, json={"version": again["version"], "devices": ["kitchen"]})
    await take(service, board, "2.0.1", new, bundle=SHA_ONE)
    assert (await service.call("GET", f"{DEVICES}/kitchen"))["held"] is None


async def test_an_older_release_is_offered_while_the_newer_one_waits(
    service: Service, product: dict[str, Any]
) -> None:
    old = await ready(service, "1.0.0", image(b"old"))
    board = await joined(service, product, "kitchen", image_sha256=old)
    step = await ready(service, "1.5.0", image(b"step"))
    new = await ready(service, "2.0.0", ONE + image(b"new"), bundle_size=len(ONE))
    await service.call("POST", ROLLOUTS, 201, json={"version": "2.0.0"})
    assert (await board.poll())["update"] is None
    await service.call("POST", ROLLOUTS, 201, json={"version": "1.5.0"})
    await take(service, board, "1.5.0", step, bundle="")
    assert (await service.call("GET", f"{ROLLOUTS}/2"))["state"] == "done"
    await board.poll(state="pending-verify")  # a trial asks for nothing, and changes nothing here
    assert (await service.call("GET", f"{DEVICES}/kitchen"))["held"]["code"] == 105
    await take(service, board, "2.0.0", new, bundle=SHA_ONE)
    shown = await service.call("GET", f"{ROLLOUTS}/1")
    assert (shown["state"], shown["held"], shown["counts"]["confirmed"]) == ("done", [], 1)
