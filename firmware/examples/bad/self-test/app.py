"""A bad release: it says so itself."""

import asyncio


def self_test() -> bool:
    return False


async def main(agent: "Agent") -> None:
    while True:
        await asyncio.sleep(1)
