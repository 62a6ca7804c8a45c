"""Uploads: what is refused, and what becomes of an image that is not."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from otaspec.errors import error

from tests.cloud.engines import QuickEngine
from tests.cloud.kit import Service, image, joined


@pytest.fixture
async def product(service: Service) -> dict[str, Any]:
    return await service.product()


async def test_upload_becomes_a_release_with_a_full_package(
    service: Service, product: dict[str, Any]
) -> None:
    made = await service.release("1.0.0", image())
    assert (made["seq"], made["board"], made["state"]) == (1, "LINUX_HOST", "building")
    shown = await service.built("1.0.0")
    assert shown["state"] == "ready"
    [full] = shown["jobs"]
    assert (full["base_sha256"], full["codec"], full["state"]) == (None, 0, "done")
    answer = await service.http.get("/v1/packages/" + full["sha256"])
    assert len(answer.content) == full["size"]


async def test_seq_grows_and_a_version_is_there_once(service: Service, product: dict[str, Any]) -> None:
    assert (await service.release("1.0.0", image(b"a")))["seq"] == 1
    refused = await service.release("1.0.0", image(b"b"), status=409)
    assert refused["error"] == "VERSION_EXISTS"
    assert (await service.release("1.1.0", image(b"b")))["seq"] == 2
    assert [r["version"] for r in await service.call("GET", "/products/thermostat/releases")] == [
        "1.1.0",
        "1.0.0",
    ]


async def test_deltas_from_the_versions_in_use_most_used_first(
    service: Service, product: dict[str, Any]
) -> None:
    images = [image(fill) for fill in (b"a", b"b", b"c", b"d")]
    shas = [(await service.release(f"1.{i}.0", data))["image_sha256"] for i, data in enumerate(images[:3])]
    await service.built("1.2.0")
    for number, sha in enumerate((shas[0], shas[2], shas[2], "e" * 64)):
        await (await joined(service, product, f"d{number}")).poll(image_sha256=sha)
    made = await service.release("2.0.0", images[3])
    assert [job["base_version"] for job in made["jobs"]] == [None, "1.2.0", "1.0.0"]
    shown = await service.built("2.0.0")
    assert {job["state"] for job in shown["jobs"]} == {"done"}
    assert shown["jobs"][1]["size"] < shown["jobs"][0]["size"]


@pytest.mark.parametrize(
    ("data", "query", "status", "name"),
    [
        (b"", {}, 400, "IMAGE_RAW"),
        (b"x" * 5000, {}, 400, "IMAGE_RAW"),
        (image()[:2000], {}, 400, "IMAGE_TRUNCATED"),
        (image()[:-1] + b"x", {}, 400, "IMAGE_CHECKSUM_WRONG"),
        (image() + b"more", {}, 400, "IMAGE_INVALID"),
        (image(chip=0), {"board": "LINUX_HOST"}, 400, "CHIP_MISMATCH"),
        (image(), {"board": "NO_SUCH"}, 404, "NOT_FOUND"),
        (image(size=3_000_000, chip=5), {}, 400, "NO_BOARD_FITS"),
        (image(size=2_000_000, chip=0), {"board": "ESP32_GENERIC"}, 413, "IMAGE_TOO_LARGE"),
        (image(chip=0x7777), {}, 400, "NO_BOARD_FITS"),
    ],
)
async def test_what_is_no_release(
    service: Service, product: dict[str, Any], data: bytes, query: dict[str, str], status: int, name: str
) -> None:
    refused = await service.release("1.0.0", data, status=status, **query)
    assert refused["error"] == name
    assert refused["remedy"]
    assert await service.call("GET", "/products/thermostat/releases") == []


async def test_combined_image(service: Service, product: dict[str, Any]) -> None:
    from otaboards import loader

    combined = image(chip=5).ljust(0x8000, b"\xff") + loader.load("ESP32_GENERIC_C3").table
    combined = b"\xe9" + b"\x00" * 0x7FFF + combined[0x8000:] + b"\xff" * 0x8000 + image(chip=5)
    assert (await service.release("1.0.0", combined, status=400))["error"] == "IMAGE_COMBINED"


async def test_the_first_release_fixes_the_board(service: Service, product: dict[str, Any]) -> None:
    await service.release("1.0.0", image())
    assert (await service.release("1.1.0", image(chip=0), status=400))["error"] == "CHIP_MISMATCH"
    other = await service.release("1.1.0", image(chip=0), board="ESP32_GENERIC")
    assert other["board"] == "ESP32_GENERIC"


async def test_upload_stops_at_the_limit(service: Service, product: dict[str, Any]) -> None:
    service.cloud.settings.max_image_size = 10_000
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 1_000_000:
            sent += 1000
            yield b"x" * 1000

    answer = await service.http.post(
        "/api/v1/products/thermostat/releases",
        params={"version": "1"},
        content=endless(),
        headers={"Authorization": f"Bearer {service.token}"},
    )
    assert (answer.status_code, answer.json()["error"]) == (413, "REQUEST_TOO_LARGE")
    assert sent < 50_000


async def test_a_failed_job_tells_why_and_can_be_retried(
    service: Service, product: dict[str, Any], engine: QuickEngine
) -> None:
    engine.problem = error(113, "needs 70000")
    await service.release("1.0.0", image())
    shown = await service.built("1.0.0")
    assert shown["state"] == "failed"
    problem = shown["jobs"][0]["error"]
    assert (problem["name"], problem["detail"]) == ("PATCH_NEEDS_MORE_RAM", "needs 70000")
    refused = await service.call("POST", "/products/thermostat/rollouts", 409, json={"version": "1.0.0"})
    assert refused["error"] == "STATE_CONFLICT"
    engine.problem = None
    await service.call("POST", "/products/thermostat/releases/1.0.0/retry")
    assert (await service.built("1.0.0"))["state"] == "ready"
