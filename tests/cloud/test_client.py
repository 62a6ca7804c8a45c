"""The typed client and the commands, against the service behind a real socket."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from click.testing import Result
from otacloud import schemas
from otacloud.app import build_services, create_app, prepare
from otacloud.cli import app as cli
from otacloud.client import Client
from otacloud.settings import Settings
from otaspec.errors import OtaError, code, error
from typer.testing import CliRunner

from tests.cloud.engines import QuickEngine
from tests.cloud.kit import image

TOKEN = "drb_test"
PK = "thermostat"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service in a thread of this process: quick, and still HTTP over a socket."""
    settings = Settings(data=tmp_path_factory.mktemp("client"), admin_token=TOKEN)
    cloud = build_services(settings, QuickEngine())
    app = create_app(cloud)
    config = uvicorn.Config(app, port=0, log_config=None)
    server = uvicorn.Server(config)

    async def run() -> None:
        await prepare(cloud)
        await server.serve()

    import asyncio

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def cloud(url: str) -> Iterator[Client]:
    with Client(url, TOKEN) as client:
        client.create_product(schemas.ProductIn(pk=PK))
        yield client


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "image.bin"
    path.write_bytes(image(size=200_000))
    return path


def test_upload_tells_its_progress_and_waits(cloud: Client, file: Path) -> None:
    told: list[tuple[int, int]] = []
    cloud.upload_release(PK, "1.0.0", file, progress=lambda at, end: told.append((at, end)))
    size = file.stat().st_size
    assert told[-1] == (size, size)
    assert len(told) > 2
    assert cloud.wait_release(PK, "1.0.0").state == "ready"


def test_refusals_are_errors_with_their_code(cloud: Client, file: Path, url: str) -> None:
    cloud.create_device(PK, schemas.DeviceIn(dn="twice"))
    with pytest.raises(OtaError, match="NAME_EXISTS"):
        cloud.create_device(PK, schemas.DeviceIn(dn="twice"))
    with pytest.raises(OtaError, match="NOT_FOUND"):
        cloud.device(PK, "nobody")
    with pytest.raises(OtaError, match="FILE_UNREADABLE"):
        cloud.upload_release(PK, "1", file.parent / "missing.bin")
    with Client(url, "drb_wrong") as stranger, pytest.raises(OtaError, match="TOKEN_INVALID"):
        stranger.products()
    with Client("http://127.0.0.1:9", TOKEN) as nowhere, pytest.raises(OtaError, match="SERVER_UNREACHABLE"):
        nowhere.products()


def run(url: str, *args: str, status: int = 0) -> str:
    done = CliRunner().invoke(cli, [*args, "--server", url, "--token", TOKEN])
    assert done.exit_code == status, done.output + repr(done.exception)
    return done.stdout


def test_commands_from_product_to_rollout(url: str, tmp_path: Path) -> None:
    path = tmp_path / "image.bin"
    path.write_bytes(image(b"two"))
    product = json.loads(run(url, "product", "create", "--pk", "lamp", "--json"))
    assert len(product["ps"]) == 64
    assert json.loads(run(url, "device", "create", "hall", "-p", "lamp", "--json"))["ds"]
    made = run(url, "release", "upload", str(path), "-p", "lamp", "-v", "2.0.0", "--wait")
    assert "2.0.0 (seq 1) for LINUX_HOST" in made
    assert "full" in made
    rollout = json.loads(run(url, "rollout", "create", "-p", "lamp", "-v", "2.0.0", "--json"))
    assert rollout["counts"]["waiting"] == 1
    assert "running" in run(url, "rollout", "show", str(rollout["id"]), "-p", "lamp")
    assert "paused" in run(url, "rollout", "pause", str(rollout["id"]), "-p", "lamp")
    assert "stopped" in run(url, "rollout", "stop", str(rollout["id"]), "-p", "lamp")
    run(url, "rollout", "show", str(rollout["id"]), "-p", "lamp", status=1)
    assert "hall" in run(url, "device", "list", "-p", "lamp")
    for verb, word in (("revoke", "revoked"), ("approve", "idle")):
        assert word in run(url, "device", verb, "hall", "-p", "lamp")
    assert "secret" in run(url, "device", "reissue", "hall", "-p", "lamp")


def test_a_refused_command_raises_what_the_root_command_explains(url: str) -> None:
    done = CliRunner().invoke(cli, ["release", "show", "9", "-p", "nope", "--server", url, "--token", TOKEN])
    assert isinstance(done.exception, OtaError)
    assert done.exception.name == "NOT_FOUND"


def test_people_tokens_and_audit(url: str) -> None:
    assert "ada: manager" in run(
        url, "user", "create", "ada", "--role", "manager", "--password", "long enough!"
    )
    assert "ada" in run(url, "user", "list")
    assert "disabled" in run(url, "user", "disable", "ada")
    made = json.loads(run(url, "token", "create", "ci", "--role", "manager", "--json"))
    assert "manager of all products, in force" in run(url, "token", "list")
    assert "revoked" in run(url, "token", "revoke", str(made["id"]))
    assert "token.revoke" in run(url, "audit", "list")
    assert "whole" in run(url, "audit", "check")


def test_every_noun_can_be_listed_and_changed(url: str, tmp_path: Path) -> None:
    path = tmp_path / "image.bin"
    path.write_bytes(image(b"three"))
    run(url, "product", "create", "--pk", "valve")
    here = ("-p", "valve")
    assert "valve" in run(url, "product", "list")
    changed = json.loads(run(url, "product", "change", "valve", "--silent-after", "600", "--json"))
    assert changed["silent_after"] == 600
    run(url, "release", "upload", str(path), *here, "-v", "3.0.0", "--channel", "beta", "--wait")
    assert "beta" in run(url, "release", "list", *here)
    assert "full" in run(url, "release", "show", "3.0.0", *here, "--watch")
    assert run(url, "release", "fit", "3.0.0", *here) == ""
    moved = json.loads(run(url, "release", "change", "3.0.0", *here, "--channel", "stable", "--json"))
    assert moved["channel"] == "stable"
    run(url, "group", "create", "beta", *here)
    assert "for tests" in run(url, "group", "change", "beta", *here, "--test")
    assert "is deleted" in run(url, "group", "delete", "beta", *here)
    run(url, "rollout", "create", *here, "-v", "3.0.0", "--draft", "--user-applies")
    assert "draft" in run(url, "rollout", "list", *here)
    made = json.loads(run(url, "channel", "create", "ops@example.com", "--kind", "job.failed", "--json"))
    assert "ops@example.com" in run(url, "channel", "list")
    assert "is disabled" in run(url, "channel", "disable", str(made["id"]))
    assert run(url, "alarm", "list") == ""
    assert "token admin: owner" in run(url, "user", "whoami")
    assert "0 of 0" in run(url, "device", "list", *here, "--access", "pending")


def test_a_rollout_with_all_its_bounds(url: str, tmp_path: Path) -> None:
    path = tmp_path / "image.bin"
    path.write_bytes(image(b"four"))
    here = ("-p", "pump")
    run(url, "product", "create", "--pk", "pump")
    run(url, "device", "create", "cellar", *here, "--tag", "eu")
    run(url, "release", "upload", str(path), *here, "-v", "4.0.0", "--watch")
    bounds = ("--phase", "10%:3600:95", "--per-minute", "50", "--stop-at-percent", "2.5")
    when = ("--window", "22:00-05:30", "--start-at", "2030-01-02T03:04")
    made = json.loads(run(url, "rollout", "create", *here, "-v", "4.0.0", *bounds, *when, "--json"))
    assert made["phases"] == [{"count": 0, "percent": 10, "success": 95, "soak": 3600}]
    assert (made["window"], made["start_at"]) == ([1320, 330], 1893553440)
    assert (made["per_minute"], made["stop_at_percent"]) == (50, 2.5)
    assert "cellar" in run(url, "rollout", "boards", str(made["id"]), *here, "--state", "waiting")
    for wrong in (("--window", "late"), ("--phase", "10%:x")):
        run(url, "rollout", "create", *here, "-v", "4.0.0", *wrong, status=2)


def test_a_list_that_is_watched_comes_again_when_it_changes(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(url, "product", "create", "--pk", "meter")
    looks = 0

    def sleep(_seconds: float) -> None:
        """Between two looks something happens, or nothing, or somebody presses Ctrl-C."""
        nonlocal looks
        looks += 1
        if looks == 2:
            with Client(url, TOKEN) as client:
                client.create_device("meter", schemas.DeviceIn(dn="attic"))
        if looks == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr("otacloud.commands.time.sleep", sleep)
    words = ["device", "list", "-p", "meter", "--watch", "--server", url, "--token", TOKEN]
    shown = CliRunner().invoke(cli, words).stdout
    assert [line for line in shown.splitlines() if " of " in line] == ["0 of 0", "1 of 1"]


def test_a_token_with_scopes(url: str) -> None:
    made = json.loads(run(url, "token", "create", "narrow", "--scope", "rollouts:read", "--json"))
    assert made["scopes"] == ["rollouts:read"]
    assert "only for rollouts:read" in run(url, "token", "list")
    with Client(url, made["token"]) as narrow, pytest.raises(OtaError, match="needs the scope devices:read"):
        narrow.devices(PK)


def test_watching_outlives_a_server_that_is_away(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run(url, "product", "create", "--pk", "away")
    asked = 0
    real = Client.device

    def device(self: Client, pk: str, dn: str) -> schemas.DeviceDetail:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise error(code("SERVER_UNREACHABLE"), "gone")
        return real(self, pk, dn).model_copy(update={"state": "confirmed"})

    run(url, "device", "create", "hall", "-p", "away")
    monkeypatch.setattr("otacloud.client.time.sleep", lambda seconds: None)
    monkeypatch.setattr(Client, "device", device)
    assert "confirmed" in run(url, "device", "show", "hall", "-p", "away", "--watch")
    assert asked == 3


def test_recover_on_the_servers_machine(tmp_path: Path) -> None:
    def recover(*options: str) -> Result:
        return CliRunner().invoke(cli, ["recover", "--data", str(tmp_path), *options])

    assert recover().stdout.startswith("drb_")
    assert isinstance(recover("--tenant", "acme").exception, OtaError)
    assert recover("--tenant", "acme", "--create").stdout.startswith("drb_")
