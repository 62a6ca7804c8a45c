"""Where a board begins: watchdog, boot rules, the application, the agent. `main.py` calls run().

The watchdog comes first, in a trial or not: a release that hangs later must be reachable for its repair.
It cannot be stopped again; the agent feeds it from the loop.
"""

import gc

import machine
from micropython import const

from .config import Config

_TRIAL_CRASHED = const(503)
_THRESHOLD = const(8192)
_HOUR = const(3600000)  # ms


def run(name: str, overrides: "dict | None" = None) -> None:
    """Run the agent beside the module `name`, which has `async def main(agent)`; ends in a reset.

    `overrides`: settings that win over NVS.
    """
    config = Config(overrides)
    watchdog = machine.WDT(timeout=config.wdt)
    # Collect often: what outlives a collection then stays together, and large blocks stay free.
    gc.threshold(_THRESHOLD)
    try:
        _run(name, config, watchdog.feed)
    except KeyboardInterrupt:
        # Somebody is at the console and wants to work there.
        machine.WDT(timeout=_HOUR)
        raise


def _run(name: str, config: Config, feed: "callable") -> None:
    import asyncio  # all of this after the watchdog: an import may fail, too

    from otaspec.errors import OtaError

    from .agent import Agent
    from .board import Board
    from .log import Log

    log = Log(bool(config.dev))
    log("reset cause", machine.reset_cause())
    board = Board(config, log, feed)
    try:
        action = board.settle()
    except OtaError as e:
        log("boot rules:", e)  # flash or NVS fails: without a trial, since none could be counted
        action = "STEADY"
    for _ in board.identify():
        feed()
    if board.journal.has("reset"):
        from . import reset

        reset.finish(board)
    board.on_trial = action == "TRIAL"
    try:
        from .bundles import Bundles
    except ImportError:
        pass  # an image without them
    else:
        board.bundles = Bundles(board)
    if not board.frozen:
        log("the agent runs from the file system: a development mode, both slots share it")
    app, crash = _import(name, board)
    gc.collect()
    asyncio.run(Agent(board).main(app, crash))
    machine.reset()


def _import(name: str, board: "Board") -> tuple:
    """(the application, what went wrong with it). On trial an exception sends the release back."""
    try:
        return __import__(name), ""
    except KeyboardInterrupt as e:
        raise e
    except BaseException as e:
        board.log.exception("import of " + name, e)
        if board.on_trial:
            from .trial import send_back

            send_back(board, board.facts().runs() == "candidate", _TRIAL_CRASHED, repr(e))
        return None, repr(e)
