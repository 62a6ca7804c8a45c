"""Whole rollouts with boards that speak the protocol: canary, gates, stop, retry."""

from typing import Any

import pytest

from tests.cloud.engines import QuickEngine
from tests.cloud.kit import Board, Clock, Service, image, joined

SELF_TEST_FAILED, NO_SERVER, POWER_LOST, UNREACHABLE = 501, 504, 505, 301


class Fleet:
    """Boards on 1.0.0, and 1.1.0 ready to go."""

    def __init__(self, service: Service, product: dict[str, Any], clock: Clock) -> None:
        self.service = service
        self.product = product
        self.clock = clock
        self.boards: list[Board] = []

    async def set_up(self, count: int) -> "Fleet":
        self.old = (await self.service.release("1.0.0", image(b"old")))["image_sha256"]
        await self.service.built("1.0.0")
        for number in range(count):
            board = await joined(self.service, self.product, f"board-{number}", image_sha256=self.old)
            await board.poll()
            self.boards.append(board)
        self.new = (await self.service.release("1.1.0", image(b"new")))["image_sha256"]
        await self.service.built("1.1.0")
        return self

    async def roll_out(self, **options: Any) -> None:
        path = "/products/thermostat/rollouts"
        self.id = (await self.service.call("POST", path, 201, json={"version": "1.1.0", **options}))["id"]

    async def show(self) -> dict[str, Any]:
        return await self.service.call("GET", f"/products/thermostat/rollouts/{self.id}")

    async def act(self, what: str, status: int = 200) -> Any:
        return await self.service.call("POST", f"/products/thermostat/rollouts/{self.id}/{what}", status)

    async def offered(self) -> list[str]:
        """The boards whose poll is answered with an update."""
        return [b.dn for b in self.boards if (await b.poll())["update"]]

    async def confirm(self, board: Board) -> None:
        update = (await board.poll())["update"]
        await board.report(board.new_report(update, "downloading", step=5))
        await board.poll(image_sha256=self.new, state="pending-verify", seq=2)
        await board.report(board.new_report(update, "confirmed", step=100))
        board.says |= {"image_sha256": self.new, "version": "1.1.0", "seq": 2}

    async def fail(self, board: Board, code: int, state: str = "reverted") -> None:
        update = (await board.poll())["update"]
        await board.report(board.new_report(update, state, code=code, step=-1, coarse=-1))


@pytest.fixture
async def fleet(service: Service, clock: Clock) -> Fleet:
    return await Fleet(service, await service.product(), clock).set_up(3)


async def test_canary_first_then_everyone(fleet: Fleet) -> None:
    await fleet.roll_out()
    assert await fleet.offered() == ["board-0"]
    assert await fleet.offered() == ["board-0"]  # the same answer until it reports
    await fleet.confirm(fleet.boards[0])
    assert await fleet.offered() == ["board-1", "board-2"]
    await fleet.confirm(fleet.boards[1])
    await fleet.confirm(fleet.boards[2])
    shown = await fleet.show()
    assert (shown["state"], shown["counts"]["confirmed"]) == ("done", 3)
    assert 0 < shown["package_bytes"] < shown["image_bytes"]
    device = await fleet.service.call("GET", "/products/thermostat/devices/board-0")
    assert [r["state"] for r in device["reports"]] == ["confirmed", "downloading"]
    assert device["version"] == "1.1.0"


async def test_the_delta_from_the_running_image_is_chosen(fleet: Fleet) -> None:
    await fleet.roll_out()
    jobs = (await fleet.service.built("1.1.0"))["jobs"]
    by_base = {job["base_sha256"]: job for job in jobs}
    update = (await fleet.boards[0].poll())["update"]
    assert update["url"] == "/v1/packages/" + by_base[fleet.old]["sha256"]
    assert update["etag"] == f'"{by_base[fleet.old]["sha256"]}"'
    assert update["size"] == by_base[fleet.old]["size"]


@pytest.mark.parametrize("poor", [{"codecs": [0]}, {"ram": 100}, {"staging": 10}])
async def test_a_board_that_cannot_decode_gets_the_full_package(fleet: Fleet, poor: dict[str, Any]) -> None:
    await fleet.roll_out()
    full = next(job for job in (await fleet.service.built("1.1.0"))["jobs"] if job["base_sha256"] is None)
    assert (await fleet.boards[0].poll(**poor))["update"]["url"].endswith(full["sha256"])


async def test_an_unknown_image_gets_the_full_package(fleet: Fleet) -> None:
    await fleet.roll_out()
    full = next(job for job in (await fleet.service.built("1.1.0"))["jobs"] if job["base_sha256"] is None)
    assert (await fleet.boards[0].poll(image_sha256="d" * 64))["update"]["url"].endswith(full["sha256"])


async def test_nothing_yet_while_the_delta_is_made(fleet: Fleet, engine: QuickEngine) -> None:
    other = (await fleet.service.release("1.0.5", image(b"other")))["image_sha256"]
    await fleet.service.built("1.0.5")
    await fleet.roll_out(devices=["board-0"])
    engine.hold = True
    board = fleet.boards[0]
    answer = await board.poll(image_sha256=other)  # its delta was never made: this poll asks for it
    assert (answer["update"], answer["poll_interval"]) == (None, 5)
    assert (await board.poll(image_sha256=other))["update"] is None
    engine.hold = False
    await fleet.service.built("1.1.0")
    assert (await board.poll(image_sha256=other))["update"] is not None


async def test_stops_by_itself_after_the_first_board(fleet: Fleet) -> None:
    await fleet.roll_out()
    await fleet.fail(fleet.boards[0], SELF_TEST_FAILED)
    shown = await fleet.show()
    assert (shown["state"], shown["why"]) == ("stopped", "board-0: SELF_TEST_FAILED")
    assert shown["failures"][0]["error"]["remedy"]
    assert await fleet.offered() == []


async def test_stop_after_two(fleet: Fleet) -> None:
    await fleet.roll_out(canary=0, stop_after_failures=2)
    await fleet.fail(fleet.boards[0], SELF_TEST_FAILED)
    assert (await fleet.show())["state"] == "running"
    await fleet.fail(fleet.boards[1], SELF_TEST_FAILED)
    assert (await fleet.show())["state"] == "stopped"


@pytest.mark.parametrize("code", [NO_SERVER, POWER_LOST, UNREACHABLE])
async def test_what_is_nobodys_fault_is_retried_and_never_counted(fleet: Fleet, code: int) -> None:
    await fleet.roll_out(retry_after=60)
    await fleet.fail(fleet.boards[0], code)
    shown = await fleet.show()
    assert (shown["state"], shown["counts"]["deferred"]) == ("running", 1)
    assert (await fleet.boards[0].poll())["update"] is None
    fleet.clock.time += 60
    assert await fleet.offered() == ["board-0"]
    await fleet.confirm(fleet.boards[0])
    assert (await fleet.show())["counts"]["confirmed"] == 1


async def test_an_unknown_code_counts(fleet: Fleet) -> None:
    await fleet.roll_out()
    await fleet.fail(fleet.boards[0], 599)
    assert (await fleet.show())["state"] == "stopped"


async def test_a_report_counts_once(fleet: Fleet) -> None:
    await fleet.roll_out(canary=0, stop_after_failures=2)
    board = fleet.boards[0]
    update = (await board.poll())["update"]
    failed = board.new_report(update, "reverted", code=SELF_TEST_FAILED, step=-1, coarse=-1)
    for _ in range(3):
        assert await board.report(failed, failed) == [failed["id"], failed["id"]]
    shown = await fleet.show()
    assert (shown["state"], shown["counts"]["failed"]) == ("running", 1)
    device = await fleet.service.call("GET", "/products/thermostat/devices/board-0")
    assert len(device["reports"]) == 1


async def test_a_final_report_that_comes_late_still_counts(fleet: Fleet) -> None:
    await fleet.roll_out()
    board = fleet.boards[0]
    update = (await board.poll())["update"]
    failed = board.new_report(update, "reverted", code=SELF_TEST_FAILED, step=-1, coarse=-1)
    await board.report(board.new_report(update, "idle"))
    await board.report(failed)
    assert (await fleet.show())["state"] == "stopped"
    assert (await fleet.service.call("GET", "/products/thermostat/devices/board-0"))["state"] == "idle"


async def test_progress_is_shown_but_not_kept(fleet: Fleet) -> None:
    await fleet.roll_out()
    board = fleet.boards[0]
    update = (await board.poll())["update"]
    for step in (10, 20, 30):
        await board.report(board.new_report(update, "downloading", step=step))
    device = await fleet.service.call("GET", "/products/thermostat/devices/board-0")
    assert (device["step"], len(device["reports"])) == (30, 1)


async def test_parallel_bounds_what_is_in_flight(fleet: Fleet) -> None:
    await fleet.roll_out(canary=0, parallel=2)
    assert await fleet.offered() == ["board-0", "board-1"]
    await fleet.confirm(fleet.boards[0])
    assert await fleet.offered() == ["board-1", "board-2"]


async def test_a_silent_board_frees_its_place(fleet: Fleet) -> None:
    await fleet.roll_out(canary=0, parallel=1)
    assert await fleet.offered() == ["board-0"]
    fleet.clock.time += fleet.service.cloud.settings.offer_timeout
    for board in fleet.boards:
        await board.login()
    assert (await fleet.boards[1].poll())["update"] is not None


async def test_pause_resume_stop(fleet: Fleet) -> None:
    await fleet.roll_out()
    await fleet.act("pause")
    assert await fleet.offered() == []
    assert (await fleet.act("pause", 409))["error"] == "STATE_CONFLICT"
    await fleet.act("resume")
    assert await fleet.offered() == ["board-0"]
    assert (await fleet.act("stop"))["why"] == "stopped by admin"
    assert await fleet.offered() == []


async def test_list_of_devices(fleet: Fleet) -> None:
    await fleet.roll_out(devices=["board-2"])
    assert await fleet.offered() == ["board-2"]
    await fleet.confirm(fleet.boards[2])
    assert (await fleet.show())["state"] == "done"
    path = "/products/thermostat/rollouts"
    refused = await fleet.service.call("POST", path, 404, json={"version": "1.1.0", "devices": ["board-9"]})
    assert "board-9" in refused["message"]


async def test_a_board_that_is_there_already_needs_nothing(fleet: Fleet) -> None:
    await fleet.roll_out()
    assert (await fleet.boards[0].poll(image_sha256=fleet.new, seq=2))["update"] is None
    assert (await fleet.show())["counts"]["unneeded"] == 1
    assert (await fleet.boards[1].poll())["update"] is not None  # still the canary


async def test_a_lost_confirmation_is_seen_in_the_next_poll(fleet: Fleet) -> None:
    await fleet.roll_out()
    await fleet.boards[0].poll()
    await fleet.boards[0].poll(image_sha256=fleet.new, seq=2, state="pending-verify")
    assert (await fleet.show())["counts"]["offered"] == 1
    await fleet.boards[0].poll(image_sha256=fleet.new, seq=2)
    assert (await fleet.show())["counts"]["confirmed"] == 1


async def test_a_device_that_registers_later_joins(fleet: Fleet) -> None:
    await fleet.roll_out(canary=0)
    late = await joined(fleet.service, fleet.product, "late", image_sha256=fleet.old)
    assert (await late.poll())["update"] is not None


async def test_the_newest_release_wins(fleet: Fleet) -> None:
    await fleet.roll_out(canary=0)
    await fleet.service.release("1.2.0", image(b"newest"))
    await fleet.service.built("1.2.0")
    body = {"version": "1.2.0", "canary": 0}
    await fleet.service.call("POST", "/products/thermostat/rollouts", 201, json=body)
    await fleet.service.built("1.2.0")
    assert (await fleet.boards[0].poll())["update"]["version"] == "1.2.0"
