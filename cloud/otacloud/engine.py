"""Who executes jobs: two methods, so that a process pool and a cluster are the same to the service."""

import asyncio
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Protocol

from otacloud import worker
from otacloud.worker import Made, Work


class WorkerDied(Exception):  # noqa: N818 - names what happened
    """The process was killed; nobody knows whether the work is to blame."""


class Engine(Protocol):
    async def run(self, work: Work) -> Made:
        """Does `work`; raises what it raised, or WorkerDied."""

    def close(self) -> None:
        """Stops at once. What was under way is lost here, and kept in the job table."""


class ProcessEngine:
    """A pool of processes on this machine, started when the first job comes."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def _ensure(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # spawn: a fork of a process with threads and open sockets is a trap.
            self._pool = ProcessPoolExecutor(self._workers, get_context("spawn"), worker.start)
        return self._pool

    async def run(self, work: Work) -> Made:
        pool = self._ensure()
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, worker.make, work)
        except BrokenProcessPool as problem:
            if self._pool is pool:
                self._pool = None
            raise WorkerDied from problem

    def close(self) -> None:
        if self._pool is not None:
            for process in list((self._pool._processes or {}).values()):
                process.kill()
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
