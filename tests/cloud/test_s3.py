"""S3 by URL: a whole rollout on a real S3 server on this machine, without a line of code changed."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer
from otacloud.app import open_stores
from otacloud.settings import Settings
from otaspec.errors import OtaError

from tests.cloud.engines import QuickEngine
from tests.cloud.kit import Clock, started
from tests.cloud.test_rollouts import Fleet

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty bucket; where its server is comes from AWS's usual variables."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    given = {"ENDPOINT_URL": endpoint, "ACCESS_KEY_ID": "one", "SECRET_ACCESS_KEY": "two"}
    for name, value in {**given, "REGION": "eu-west-1", "ALLOW_HTTP": "true"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    client = boto3.client("s3", endpoint_url=endpoint, region_name="eu-west-1")
    client.create_bucket(Bucket="driblet", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    yield "s3://driblet/objects"
    httpx.post(f"{endpoint}/moto-api/reset").raise_for_status()
    server.stop()


async def test_a_rollout(bucket: str, tmp_path: Path, clock: Clock, engine: QuickEngine) -> None:
    async with started(tmp_path / "data", clock, engine, storage_url=bucket) as service:
        fleet = await Fleet(service, await service.product(), clock).set_up(2)
        await fleet.roll_out(canary=0)
        update = (await fleet.boards[0].poll())["update"]
        whole = (await service.http.get(update["url"])).content
        assert len(whole) == update["size"]
        part = await service.http.get(update["url"], headers={"Range": "bytes=100-199"})
        assert (part.status_code, part.content) == (206, whole[100:200])
        for board in fleet.boards:
            await fleet.confirm(board)
        assert (await fleet.show())["state"] == "done"
    assert not (tmp_path / "data" / "objects").exists()


async def test_what_is_not_there(bucket: str, tmp_path: Path) -> None:
    db, storage = open_stores(Settings(data=tmp_path, storage_url=bucket))
    await db.close()
    blob = await storage.put("packages", b"one")
    assert [name async for name in storage.names("packages")] == [blob.sha256]
    for call in (storage.get, storage.size):
        with pytest.raises(OtaError, match="NOT_FOUND"):
            await call("packages", "0" * 64)
