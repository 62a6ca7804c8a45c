"""The smallest application: a heartbeat beside the agent, and a self-test."""

import asyncio

beats = 0


def self_test() -> bool:
    """Asked once, on trial. A real product would look at its sensors and its radio here."""
    return beats > 0


async def main(agent: "Agent") -> None:
    global beats
    while True:
        beats += 1
        await asyncio.sleep(1)
