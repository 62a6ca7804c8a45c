"""Many boards side by side in one event loop."""

import asyncio
from collections.abc import Sequence
from types import TracebackType

from otasim.board import Board


class Fleet:
    """`async with Fleet(boards)`: they run; at the end they are switched off.

    stagger: seconds between two boards' power-on, so that a large fleet does not start at one moment.
    """

    def __init__(self, boards: Sequence[Board], stagger: float = 0.0) -> None:
        self.boards = list(boards)
        self._stagger = stagger
        self._tasks: list[asyncio.Task[str]] = []

    async def __aenter__(self) -> "Fleet":
        self._tasks = [
            asyncio.create_task(self._start(board, i * self._stagger)) for i, board in enumerate(self.boards)
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.switch_off()

    @staticmethod
    async def _start(board: Board, delay: float) -> str:
        await asyncio.sleep(delay)
        return await board.run()

    async def wait(self) -> list[str]:
        """Until every board has stopped by itself; why, board by board."""
        return list(await asyncio.gather(*self._tasks))

    def check(self) -> None:
        """Raises what a board's task died of. A board that stopped by itself is no error here."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()

    async def switch_off(self) -> None:
        for board in self.boards:
            board.switch_off()
        await asyncio.gather(*self._tasks, return_exceptions=True)
