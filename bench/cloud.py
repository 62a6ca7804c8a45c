"""What the service can do here, beside a bare endpoint in the same process model: `make bench-cloud`.

The service runs as users run it, with its load from a second process. Writes docs/benchmarks/cloud.json.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx
from otacloud.app import build_services, prepare
from otacloud.models import Device, Release
from otacloud.services import Services
from otacloud.settings import Settings
from sqlalchemy import insert, select

from bench.load import Request, rate

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "docs" / "benchmarks" / "cloud.json"
FEW, MANY = 1_000, 100_000
SECONDS = float(os.environ.get("BENCH_SECONDS", "8"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
IMAGE = "ab" * 32
SAID = {
    **{"board": "LINUX_HOST", "chip": 0xFFF0, "version": "1.0.0", "image_sha256": IMAGE, "slot": "ota_0"},
    **{"seq": 1, "agent": 1, "staging": 65536, "ram": 65536, "codecs": [0, 1, 2]},
}
TOKEN = "drb_bench"  # noqa: S105

BARE = """
import sys, uvicorn
from fastapi import FastAPI
from fastapi.responses import FileResponse
from pydantic import BaseModel
app = FastAPI()
class Body(BaseModel):
    nonce: str
    board: str
    version: str
@app.post("/bare")
async def bare(body: Body) -> dict[str, object]:
    return {"time": 1, "poll_interval": 60, "update": None}
@app.get("/file")
async def file() -> FileResponse:
    return FileResponse(sys.argv[1])
uvicorn.run(app, port=int(sys.argv[2]), log_config=None, access_log=False)
"""


async def set_up(data: Path, count: int) -> list[str]:
    """A product with `count` devices that have said who they are; their bearer tokens."""
    cloud = build_services(Settings(data=data, admin_token=TOKEN))
    await prepare(cloud)
    await _devices(cloud, count)
    async with cloud.db.read() as session:
        ids = list(await session.scalars(select(Device.id).order_by(Device.id)))
    expires = cloud.now() + 86_400
    tokens = [cloud.device_auth.new_token(device_id, 1, expires) for device_id in ids]
    await cloud.db.close()
    return tokens


async def _devices(cloud: Services, count: int) -> None:
    from otacloud import keys
    from otacloud.models import Product

    async with cloud.db.write() as session:
        product = Product(
            tenant_id=1,
            pk="bench",
            name="bench",
            registration="open",
            ps_sealed=b"",
            created_at=0,
            board="LINUX_HOST",
        )
        session.add(product)
        await session.flush()
        session.add(keys.new_key(product, cloud.vault, 0))
        sealed = cloud.device_auth.new_secret()[1]
        fixed = {
            **{"tenant_id": 1, "product_id": product.id, "origin": "operator", "access": "approved"},
            **{"ds_sealed": sealed, "created_at": 0, "generation": 1, "state": "idle", "step": 0, "code": 0},
            **{"detail": "", "last_report": 0, "inventory": {}, "tags": [], **SAID},
        }
        for start in range(0, count, 10_000):
            rows = [{"dn": f"device-{n:06}", **fixed} for n in range(start, min(start + 10_000, count))]
            await session.execute(insert(Device), rows)


@contextmanager
def serving(*command: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def service(data: Path) -> Iterator[tuple[int, int]]:
    """`driblet serve`: its port and process id."""
    command = (sys.executable, "-m", "driblet", "serve", "--port", "0", "--data", str(data), "--json")
    with serving(*command) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        yield int(said["url"].rsplit(":", 1)[1]), process.pid


@contextmanager
def bare(file: Path, port: int) -> Iterator[int]:
    with serving(sys.executable, "-c", BARE, str(file), str(port)):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                httpx.get(f"http://127.0.0.1:{port}/openapi.json")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield port


def polls(tokens: list[str], count: int) -> list[Request]:
    """Requests of `count` random boards that say what they said before."""
    chosen = random.Random(1).choices(tokens, k=count)  # noqa: S311
    body = json.dumps({"nonce": "00" * 16, **SAID}).encode()
    return [Request("POST", "/v1/poll", body, {"Authorization": f"Bearer {token}"}) for token in chosen]


def measure(port: int, requests: list[Request]) -> float:
    """Answers a second, from a load in a process of its own."""
    with get_context("spawn").Pool(1) as pool:
        return float(pool.apply(rate, (port, requests, SECONDS)))


def rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def start_rollout(port: int) -> float:
    """Seconds until a rollout over the whole fleet has been started."""
    url = f"http://127.0.0.1:{port}/api/v1/products/bench/rollouts"
    started = time.perf_counter()
    answer = httpx.post(
        url, json={"version": "2.0.0"}, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["total"] == MANY
    return time.perf_counter() - started


async def add_release(data: Path, package: bytes) -> str:
    """A release without jobs, and a package that is served; its hash."""
    cloud = build_services(Settings(data=data, admin_token=TOKEN))
    async with cloud.db.write() as session:
        session.add(
            Release(
                tenant_id=1,
                product_id=1,
                version="2.0.0",
                seq=2,
                board="LINUX_HOST",
                chip=0xFFF0,
                image_sha256="cd" * 32,
                image_size=len(package),
                created_at=0,
            )
        )
    blob = await cloud.storage.put("packages", package)
    await cloud.db.close()
    return blob.sha256


def run() -> dict[str, Any]:
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        package = os.urandom(200_000)
        file = Path(folder, "package.bin")
        file.write_bytes(package)
        few, many = Path(folder, "few"), Path(folder, "many")
        few_tokens = asyncio.run(set_up(few, FEW))
        many_tokens = asyncio.run(set_up(many, MANY))
        sha256 = asyncio.run(add_release(many, package))
        plain = [Request("POST", "/bare", json.dumps({"nonce": "00" * 16, **SAID}).encode(), {})]
        with bare(file, 8399) as bare_port, service(few) as (few_port, _), service(many) as (port, pid):
            measured: dict[str, list[float]] = {n: [] for n in ("bare", "few", "many", "file", "package")}
            for _ in range(ROUNDS):  # in turns, so that what else the machine does is shared by all
                measured["bare"].append(measure(bare_port, plain))
                measured["few"].append(measure(few_port, polls(few_tokens, 5000)))
                measured["many"].append(measure(port, polls(many_tokens, 20_000)))
                measured["file"].append(measure(bare_port, [Request("GET", "/file", b"", {})]))
                measured["package"].append(measure(port, [Request("GET", f"/v1/packages/{sha256}", b"", {})]))
            best = {name: max(values) for name, values in measured.items()}
            result = {
                "poll_ratio": round(best["many"] / best["bare"], 3),
                "file_ratio": round(best["package"] / best["file"], 3),
                "growth": round(best["few"] / best["many"] - 1, 3),
                "rss_mb": round(rss_mb(pid)),
                "rollout_start_seconds": round(start_rollout(port), 2),
                "per_second": {name: round(value) for name, value in best.items()},
                "rounds": {name: [round(v) for v in values] for name, values in measured.items()},
                "devices": MANY,
                "cpus": os.cpu_count(),
            }
    return result


def main() -> None:
    result = run()
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
