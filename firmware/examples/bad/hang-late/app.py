"""A bad release: it starts well, then its task never gives the loop back."""

import asyncio


async def main(agent: "Agent") -> None:
    await asyncio.sleep(0.5)
    while True:
        pass
