"""The trial of a new release: it is confirmed by its self-test and by reaching the server, or sent back.

The watchdog runs since boot.py. In a trial it is fed from here alone, in the loop that the application
shares: a release that does not give the loop back is reset.
"""

import asyncio
import time

import machine
from micropython import const
from otaspec.errors import OtaError, error

_SELF_TEST_FAILED = const(501)
_TRIAL_CRASHED = const(503)
_TRIAL_NO_SERVER = const(504)
_TICK = const(100)  # ms


class Failed(Exception):
    """The trial is over: (code of errors.TABLE, evidence)."""


async def run(agent: "Agent") -> None:
    """Returns once the release is confirmed; otherwise it ends in a reset."""
    board, config = agent.board, agent.config
    # A record that is about another image, or none: the journal was lost.
    known = board.facts().runs() == "candidate"
    agent.tell("pending-verify", 96, 0, agent.about())
    try:
        await agent.ask("before trial")
        await _until(agent, config.soak, False)
        await _self_test(agent)
        await agent.ask("after trial")
        agent.tell("pending-verify", 97, 0, agent.about())
        asyncio.create_task(_check_in(agent))
        if not await _until(agent, config.checkin, True):
            raise Failed(_TRIAL_NO_SERVER, "%d s" % config.checkin)
        await agent.ask("before confirm")
        board.act("PASS" if known else "PASS_UNKNOWN")
        board.settle()  # FINISH
    except Failed as e:
        await agent.ask("before revert")
        send_back(board, known, e.args[0], e.args[1])
    except OtaError as e:
        # The flash or the NVS failed us: the boot rules decide after the reset.
        board.log("trial:", e)
        machine.reset()
    agent.log("confirmed")


def send_back(board: "Board", known: bool, code: int, evidence: str) -> None:
    """End the trial: record why, then reset into the other image."""
    board.log("trial failed:", error(code, evidence))
    if known:
        board.keep_evidence(evidence)
        board.act("NO_SERVER" if code == _TRIAL_NO_SERVER else "FAIL", code)
        board.settle()  # RESET or LEAVE
        machine.reset()  # in place
    elif board.other_boots():
        board.act("FAIL_UNKNOWN")
    else:
        board.log("nothing else boots here: there is no way back to keep open")
        board.act("PASS_UNKNOWN")


async def _until(agent: "Agent", seconds: int, reached: bool) -> bool:
    """Feed the watchdog for `seconds`; with `reached` no longer than until the server was reached (True).

    Failed if the application crashed.
    """
    end = time.ticks_add(time.ticks_ms(), seconds * 1000)
    while True:
        agent.board.feed()
        await asyncio.sleep_ms(_TICK)
        if agent.crash:
            raise Failed(_TRIAL_CRASHED, agent.crash)
        if reached and agent.reached:
            return True
        if time.ticks_diff(end, time.ticks_ms()) <= 0:
            return False


async def _self_test(agent: "Agent") -> None:
    test = getattr(agent.app, "self_test", None)
    try:
        if agent.policy:
            passed = await agent.policy.test(test)
        else:
            passed = not test or test()
    except Exception as e:
        raise Failed(_SELF_TEST_FAILED, repr(e))
    if not passed:
        raise Failed(_SELF_TEST_FAILED, "self_test() returned %r" % (passed,))


async def _check_in(agent: "Agent") -> None:
    """Until a server was reached and knew us: any of them will do."""
    wait = 1
    while True:
        try:
            await agent.check_in()
            agent.reached = True
            return
        except Exception as e:  # out of memory, too: only a check-in is a check-in
            agent.log("check-in:", e)
        await asyncio.sleep(wait)
        wait = min(2 * wait, 60)
