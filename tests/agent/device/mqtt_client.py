"""Runs on MicroPython: one connection to each broker of the JSON on stdin; prints how it ended."""

import asyncio
import gc
import json
import sys
from binascii import unhexlify

from otaagent import http, mqtt
from otaspec.errors import OtaError


class Agent:
    """What the client sees of the agent."""

    def __init__(self, setup, url):
        self.config = self
        self.pk, self.dn, self.ds = setup["pk"], setup["dn"], unhexlify(setup["ds"])
        self.mqtt, self.dev, self.timeout = url, setup.get("dev", 1), setup.get("timeout", 2)
        ca = setup.get("ca")
        self.client = http.Client(http.tls_context(open(ca, "rb").read()) if ca else None)
        self.board, self.version = self, "1.0.0"
        self.status = {"state": "idle", "step": 0, "code": 0}
        self.wake, self.told_to_wait = asyncio.Event(), False
        self.lines = []

    def log(self, *words):
        self.lines.append(" ".join(str(word) for word in words))


async def one(setup, case):
    agent = Agent(setup, case["url"])
    broker = mqtt.Broker(agent)
    gc.collect()
    before, most = gc.mem_alloc(), 0
    result = {"error": 0}

    async def visit():
        nonlocal most
        await broker._enter(agent)
        while True:
            await broker._packet()
            gc.collect()
            most = max(most, gc.mem_alloc() - before)

    try:
        await asyncio.wait_for(visit(), setup.get("seconds", 20))
    except OtaError as e:
        result = {"error": e.code, "evidence": e.evidence}
    except asyncio.TimeoutError:
        pass
    gc.collect()
    broker.close()
    result.update({"woken": agent.wake.is_set(), "heap": max(most, gc.mem_alloc() - before)})
    return result


async def main():
    setup = json.loads(sys.stdin.readline())
    for case in setup["cases"]:
        print(json.dumps(await one(setup, case)))


asyncio.run(main())
