"""An engine for quick tests of everything around it; the real one and the real differ: test_worker."""

import asyncio
import hashlib
from dataclasses import dataclass, field

from otacloud.engine import WorkerDied
from otacloud.worker import Made, Work


@dataclass
class QuickEngine:
    """Makes bytes that name what they were made of: a delta is a tenth of its image."""

    hold: bool = False
    dies: int = 0
    problem: Exception | None = None
    done: list[Work] = field(default_factory=list)

    async def run(self, work: Work) -> Made:
        while self.hold:
            await asyncio.sleep(0.001)
        if self.dies:
            self.dies -= 1
            raise WorkerDied
        if self.problem:
            raise self.problem
        self.done.append(work)
        seed = hashlib.sha256(repr((work.base, work.target, work.options)).encode()).digest()
        size = len(work.target) // (10 if work.base else 1)
        facts = {"payload_size": size, "codec": 2 if work.base else 0, "ram": 9000, "staging": size}
        return Made(
            (seed * (size // 32 + 1))[:size], facts if work.base else facts | {"ram": 0, "staging": 0}
        )

    def close(self) -> None:
        self.hold = False
