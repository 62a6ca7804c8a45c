"""Package bytes over HTTP: whole, in ranges, under conditions."""

import os

import pytest

from tests.cloud.kit import Service

DATA = os.urandom(600_000)


@pytest.fixture
async def url(service: Service) -> str:
    return "/v1/packages/" + (await service.cloud.storage.put("packages", DATA)).sha256


async def test_whole_and_head(service: Service, url: str) -> None:
    answer = await service.http.get(url)
    assert (answer.status_code, answer.content) == (200, DATA)
    assert answer.headers["etag"] == f'"{url[-64:]}"'
    assert "immutable" in answer.headers["cache-control"]
    head = await service.http.head(url)
    assert (head.content, head.headers["content-length"]) == (b"", "600000")


@pytest.mark.parametrize(("start", "end"), [(0, 1), (4096, 600_000), (599_999, 600_000)])
async def test_resumes(service: Service, url: str, start: int, end: int) -> None:
    headers = {"Range": f"bytes={start}-{end - 1}", "If-Match": f'"{url[-64:]}"'}
    answer = await service.http.get(url, headers=headers)
    assert (answer.status_code, answer.content) == (206, DATA[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/600000"


async def test_changed_missing_and_beyond(service: Service, url: str) -> None:
    changed = await service.http.get(url, headers={"If-Match": '"other"'})
    assert changed.status_code == 412
    beyond = await service.http.get(url, headers={"Range": "bytes=600000-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */600000")
    missing = await service.http.get("/v1/packages/" + "0" * 64)
    assert (missing.status_code, missing.json()["error"]) == (404, "NOT_FOUND")
