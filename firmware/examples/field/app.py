"""An application that has a say in its updates: what a product in the field would set. (README.md)"""

import asyncio
import os

from otaagent.updates import Fail, Later, Updates

RECALLED = ("1.3.0",)
heating = False


def self_test() -> bool:
    """Asked on trial. Here: the file system still holds what the product needs."""
    return "settings.json" in os.listdir()


def show(status: dict) -> None:
    print("update:", status["state"], status["step"])


ota = Updates(
    on_progress=show,
    self_test=self_test,
    inventory=lambda: {"heating": heating},
    window="02:00-04:30",
    zone="CET-1CEST,M3.5.0,M10.5.0/3",
    metered=False,
    budget=200_000,
)


@ota.before("download")
def recalled(about: dict) -> "Fail | None":
    return Fail("recalled") if about["version"] in RECALLED else None


@ota.before("arm")
def not_while_it_heats(about: dict) -> "Later | None":
    return Later(600) if heating else None


async def main(agent: "Agent") -> None:
    if "settings.json" not in os.listdir():
        open("settings.json", "w").close()
    await ota.start()
    while True:
        async with ota.busy:  # no reset in the middle of a measurement
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
