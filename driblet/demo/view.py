"""The live table: one line a board, a bar, and what happened to it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

STYLES = {"confirmed": "green", "reverted": "yellow", "failed": "red", "power lost": "magenta"}

# Where each state stands on the bar, as (from, to) percent: a board's own step is a percentage of the stage.
STAGES = {
    "idle": (0, 0),
    "downloading": (0, 40),
    "applying": (40, 80),
    "verifying": (80, 90),
    "rebooting": (90, 95),
    "pending-verify": (95, 99),
    "confirmed": (100, 100),
    "reverted": (0, 0),
    "failed": (0, 0),
}


@dataclass
class Line:
    """What the table shows of one board."""

    name: str
    state: str = "idle"
    step: int = 0
    version: str = ""
    slot: str = ""
    power_cuts: int = 0
    note: str = ""
    seen: list[str] = field(default_factory=list)

    @property
    def percent(self) -> float:
        """The bar's position, 0..100."""
        low, high = STAGES.get(self.state, (0, 0))
        return low + (high - low) * min(max(self.step, 0), 100) / 100


def table(lines: list[Line], title: str) -> Table:
    """The table at this moment; fits 80 columns."""
    grid = Table(title=title, title_justify="left", box=None, padding=(0, 1), expand=False)
    for head in ("board", "version", "slot", "state"):
        grid.add_column(head, no_wrap=True)
    grid.add_column("", width=18)
    grid.add_column("note", overflow="ellipsis", no_wrap=True, max_width=26)
    for line in lines:
        grid.add_row(
            line.name,
            line.version,
            line.slot,
            Text(line.state, style=STYLES.get(line.state, "")),
            ProgressBar(total=100, completed=line.percent, width=18),
            line.note,
        )
    return grid


class View:
    """Draws on a terminal; elsewhere prints a line whenever a board's state changes."""

    def __init__(self, lines: list[Line], title: str, console: Console) -> None:
        self.lines = lines
        self.title = title
        self.console = console
        self._live: Live | None = None
        self._printed: dict[str, tuple[str, str]] = {}

    def refresh(self) -> None:
        """Shows the lines as they are now."""
        if self._live is not None:
            self._live.update(table(self.lines, self.title))
            return
        for line in self.lines:
            now = (line.state, line.note)
            if self._printed.get(line.name) != now:
                self._printed[line.name] = now
                self.console.print(f"{line.name}: {line.state} {line.version} {line.note}".rstrip())


@contextmanager
def view(lines: list[Line], title: str, console: Console) -> Iterator[View]:
    """A View for the length of the block."""
    shown = View(lines, title, console)
    if not (console.is_terminal and sys.stderr.isatty()):
        yield shown
        return
    with Live(table(lines, title), console=console, refresh_per_second=8) as live:
        shown._live = live
        yield shown
