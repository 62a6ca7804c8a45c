"""Odd input, made by schemathesis from the OpenAPI document: no call breaks, and answers are as documented.

The same examples in every run: what fails here fails again.
"""

import asyncio
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from otacloud import docs
from otacloud.app import build_services, create_app, prepare
from otacloud.settings import Settings

from tests.cloud.engines import QuickEngine

pytestmark = pytest.mark.slow
TOKEN = "drb_schemathesis"
ENDS_IT = "revoke_token"  # may take away the token that all the others need
EXAMPLES = "2"  # of each call

CALLS = [(path, call) for path, calls in docs.schema()["paths"].items() for call in calls]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service behind a socket, with one product to hit."""
    given = Settings(data=tmp_path_factory.mktemp("odd"), admin_token=TOKEN)
    cloud = build_services(given, QuickEngine())
    running = uvicorn.Server(uvicorn.Config(create_app(cloud), port=0, log_config=None))

    async def run() -> None:
        await prepare(cloud)
        await running.serve()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    running.should_exit = True
    thread.join()


@pytest.mark.parametrize("which", ["exclude", "include"])
def test_no_input_breaks_a_call(server: str, tmp_path: Path, which: str) -> None:
    """Boundary values of each field, then random ones; in a process, so that no other has to make them."""
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("schemathesis"), "run", f"{server}/openapi.json"),
            *("--header", f"Authorization: Bearer {TOKEN}"),
            *("--checks", "not_a_server_error,response_schema_conformance"),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES),
            *("--generation-deterministic", f"--{which}-operation-id", ENDS_IT),
            *("--suppress-health-check", "all", "--request-timeout", "30", "--no-color"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    count = len(CALLS) - 1 if which == "exclude" else 1
    assert f"Tested: {count}\n" in done.stdout
    refused = re.search(r"Authentication failed: (\d+)", done.stdout)
    assert not refused or refused[1] == "1"  # /v1/log wants a device's token
