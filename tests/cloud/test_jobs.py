"""The job table is the truth: what dies is done again, and not for ever."""

from pathlib import Path

from tests.cloud.engines import QuickEngine
from tests.cloud.kit import Clock, Service, image, started


async def test_a_worker_that_dies_twice_costs_two_attempts(service: Service, engine: QuickEngine) -> None:
    await service.product()
    engine.dies = 2
    await service.release("1.0.0", image())
    [job] = (await service.built("1.0.0"))["jobs"]
    assert (job["state"], job["attempts"]) == ("done", 3)


async def test_a_job_that_kills_every_worker_fails(service: Service, engine: QuickEngine) -> None:
    await service.product()
    engine.dies = 99
    await service.release("1.0.0", image())
    [job] = (await service.built("1.0.0"))["jobs"]
    assert (job["state"], job["error"]["name"]) == ("failed", "JOB_FAILED")
    assert engine.dies == 96


async def test_a_bug_in_a_job_fails_the_job_only(service: Service, engine: QuickEngine) -> None:
    await service.product()
    engine.problem = ZeroDivisionError("by zero")
    await service.release("1.0.0", image())
    assert "by zero" in (await service.built("1.0.0"))["jobs"][0]["error"]["detail"]
    engine.problem = None
    await service.release("1.1.0", image(b"two"))
    assert (await service.built("1.1.0"))["state"] == "ready"


async def test_what_was_running_when_the_service_ended_is_done_after_the_next_start(
    tmp_path: Path, clock: Clock
) -> None:
    held = QuickEngine(hold=True)
    async with started(tmp_path, clock, held, admin_token="drb_t") as first:
        await first.product()
        await first.release("1.0.0", image())
        while (await first.call("GET", "/products/thermostat/releases/1.0.0"))["jobs"][0][
            "state"
        ] != "running":
            pass
    async with started(tmp_path, clock, QuickEngine(), admin_token="drb_t") as second:
        [job] = (await second.built("1.0.0"))["jobs"]
        assert (job["state"], job["attempts"]) == ("done", 2)
