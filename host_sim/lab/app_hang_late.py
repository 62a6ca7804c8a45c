from _lab import ends


async def main(agent):
    raise ends.Bitten  # what an endless loop comes to once the watchdog is armed
