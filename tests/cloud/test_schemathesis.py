"""Odd input, made by schemathesis from the OpenAPI document: no call breaks, and answers are as documented.

The same examples in every run: what fails here fails again.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, settings
from otacloud import docs
from otacloud.app import build_services, create_app, prepare
from otacloud.settings import Settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance

from tests.cloud.engines import QuickEngine

pytestmark = pytest.mark.slow
TOKEN = "drb_schemathesis"
EXAMPLES = 2  # of each call

schema = schemathesis.openapi.from_dict(docs.schema())


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


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_input_breaks_a_call(case: Any, server: str) -> None:
    case.call_and_validate(
        base_url=server,
        headers={"Authorization": f"Bearer {TOKEN}"},
        checks=[not_a_server_error, response_schema_conformance],
        timeout=30,
    )
