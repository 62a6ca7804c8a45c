"""What the service can do here, beside a bare endpoint in the same process model: `make bench-cloud`.

The service runs as users run it, with its load from a second process. Writes docs/benchmarks/cloud.json.
"""

import asyncio
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx
from otacloud.app import build_services, prepare
from otacloud.models import Device, Release
from otacloud.services import Services
from otacloud.settings import Settings
from sqlalchemy import insert, select

from bench.load import CONNECTIONS, Request, rate

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "docs" / "benchmarks" / "cloud.json"
FEW, MANY = 1_000, 100_000
SECONDS = float(os.environ.get("BENCH_SECONDS", "2"))  # whole ones: each slice has its share of batches
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "15"))
TARGETS: dict[str, tuple[str, Callable[[float], bool]]] = {
    "poll_ratio": (">= 0.60", lambda value: value >= 0.6),
    "file_ratio": (">= 0.80", lambda value: value >= 0.8),
    "growth": ("<= 0.10", lambda value: value <= 0.1),
    "rollout_start_seconds": ("< 2", lambda value: value < 2),
    "rss_mb": ("< 400", lambda value: value < 400),
}
IMAGE = "ab" * 32
SAID = {
    **{"board": "LINUX_HOST", "chip": 0xFFF0, "version": "1.0.0", "image_sha256": IMAGE, "slot": "ota_0"},
    **{"seq": 1, "agent": 1, "staging": 65536, "ram": 65536, "codecs": [0, 1, 2]},
}
INVENTORY = {"frozen": False, "kept": "", "key_set": 0}  # as the agent's own
TOKEN = "drb_bench"  # noqa: S105
# Quotas are looked at as ever, and never reached, though all that load comes from one address.
QUOTAS = ("ADDRESS_READS", "ADDRESS_WRITES", "DEVICE_CALLS", "TENANT_CALLS")
ENVIRONMENT = {**os.environ, **{f"DRIBLET_{name}": "1000000" for name in QUOTAS}}

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
            **{"detail": "", "last_report": 0, "inventory": INVENTORY, "tags": [], **SAID},
        }
        for start in range(0, count, 10_000):
            rows = [{"dn": f"device-{n:06}", **fixed} for n in range(start, min(start + 10_000, count))]
            await session.execute(insert(Device), rows)


@contextmanager
def serving(*command: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=ENVIRONMENT)
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
def bare(file: Path, port: int) -> Iterator[tuple[int, int]]:
    with serving(sys.executable, "-c", BARE, str(file), str(port)) as process:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                httpx.get(f"http://127.0.0.1:{port}/openapi.json")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield port, process.pid


POLL = {"nonce": "00" * 16, "state": "idle", **SAID, **INVENTORY}


def polls(tokens: list[str], count: int) -> list[Request]:
    """Requests of `count` random boards that say what they said before."""
    chosen = random.Random(1).choices(tokens, k=count)  # noqa: S311
    body = json.dumps(POLL).encode()
    return [Request("POST", "/v1/poll", body, {"Authorization": f"Bearer {token}"}) for token in chosen]


@dataclass
class Side:
    """One service under one load, and what each round of it gave."""

    port: int
    pid: int
    requests: list[Request]
    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)  # milliseconds of the service's CPU for an answer

    def measure(self, pool: Any) -> None:
        """One round, with the load from a process of its own."""
        before = cpu_seconds(self.pid)
        self.rates.append(pool.apply(rate, (self.port, self.requests, SECONDS)))
        self.costs.append((cpu_seconds(self.pid) - before) * 1000 / (self.rates[-1] * SECONDS))


def ratio(ours: Side, theirs: Side) -> float:
    """The median over the rounds: what else the machine does hits both sides of a round."""
    return statistics.median(a / b for a, b in zip(ours.rates, theirs.rates, strict=True))


def cpu_seconds(pid: int) -> float:
    """What the process has run, threads that have ended included; to a hundredth of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mb(pid: int) -> float:
    """The most memory that the process has had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
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
    with tempfile.TemporaryDirectory() as folder:
        package = os.urandom(200_000)
        file = Path(folder, "package.bin")
        file.write_bytes(package)
        few, many = Path(folder, "few"), Path(folder, "many")
        few_tokens = asyncio.run(set_up(few, FEW))
        many_tokens = asyncio.run(set_up(many, MANY))
        url = f"/v1/packages/{asyncio.run(add_release(many, package))}"
        plain = [Request("POST", "/bare", json.dumps(POLL).encode(), {})]
        with bare(file, 8399) as (bare_port, bare_pid), service(few) as one, service(many) as (port, pid):
            sides = {
                "bare": Side(bare_port, bare_pid, plain),
                "few": Side(*one, polls(few_tokens, 20_000)),
                "many": Side(port, pid, polls(many_tokens, 20_000)),
                "file": Side(bare_port, bare_pid, [Request("GET", "/file", b"", {})]),
                "package": Side(port, pid, [Request("GET", url, b"", {})]),
            }
            with get_context("spawn").Pool(1) as pool:
                for _ in range(ROUNDS):  # in turns, so that what else the machine does is shared by all
                    for side in sides.values():
                        side.measure(pool)
            seconds = start_rollout(port)
            most = peak_mb(pid)
    return {
        "poll_ratio": round(ratio(sides["many"], sides["bare"]), 3),
        "file_ratio": round(ratio(sides["package"], sides["file"]), 3),
        "growth": round(ratio(sides["few"], sides["many"]) - 1, 3),
        "rollout_start_seconds": round(seconds, 2),
        "rss_mb": round(most),
        "per_second": {name: round(statistics.median(side.rates)) for name, side in sides.items()},
        "cpu_ms": {name: round(statistics.median(side.costs), 3) for name, side in sides.items()},
        "rounds": {name: [round(value) for value in side.rates] for name, side in sides.items()},
        "devices": MANY,
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
    }


PAGE = """# The cloud, beside a bare endpoint

`make bench-cloud` writes this page. The service runs as `driblet serve` does, on SQLite, with {devices:,}
devices; the load comes from a second process over {connections} connections. Each figure is the median of
{rounds} rounds in which all took turns of {seconds:g} s, on {cpus} CPUs. What else the machine does hits both
sides of a ratio; the CPU time of an answer is counted by the kernel and says the same apart from that.

| | measured | wanted |
|---|---|---|
{rows}

- poll_ratio: polls a second, of what a bare FastAPI endpoint with a small JSON body answers.
- file_ratio: package downloads (200 kB) a second, of what a bare Starlette FileResponse gives.
- growth: how much faster {few:,} devices would poll than {devices:,}.
- rollout_start_seconds: from the request until each device has its place.
- rss_mb: the most memory that the service had at any time, in MiB.

| a second | {names} |
|---|{lines}|
| answers | {rates} |
| ms of CPU each | {costs} |
"""


def page(result: dict[str, Any]) -> str:
    rates, costs = result["per_second"], result["cpu_ms"]
    return PAGE.format(
        devices=result["devices"],
        connections=CONNECTIONS,
        rounds=len(result["rounds"]["bare"]),
        seconds=SECONDS,
        cpus=result["cpus"],
        few=FEW,
        rows="\n".join(f"| {name} | {result[name]} | {wanted} |" for name, (wanted, _) in TARGETS.items()),
        names=" | ".join(rates),
        lines="|".join("---" for _ in rates),
        rates=" | ".join(f"{value:,}" for value in rates.values()),
        costs=" | ".join(str(value) for value in costs.values()),
    )


def main() -> None:
    result = run()
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=2) + "\n")
    OUT.with_suffix(".md").write_text(page(result))
    print(json.dumps(result, indent=2))
    missed = [f"{name} {wanted}" for name, (wanted, holds) in TARGETS.items() if not holds(result[name])]
    sys.exit(f"missed: {', '.join(missed)}" if missed else 0)


if __name__ == "__main__":
    main()
