import asyncio


async def main(agent):
    while True:
        await asyncio.sleep(60)
