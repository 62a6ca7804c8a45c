"""The end of the story: the figures, on the screen and in build/demo.json."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass
class BoardResult:
    """One board, as its flash file says."""

    name: str
    state: str
    version: str
    slot: str
    image_sha256: str
    power_cuts: int
    error: str = ""


@dataclass
class Summary:
    """The figures. Sizes in bytes."""

    product: str
    target: str
    image_size: int
    package_size: int
    patch_size: int
    codec: str
    bytes_sent: int
    seconds: float
    heap_peak: int
    agent_mpy: dict[str, int]  # bytes of .mpy by slice
    rollout_state: str
    rollout_reason: str
    ok: bool
    boards: list[BoardResult] = field(default_factory=list)

    @property
    def reached(self) -> int:
        """Boards that began the update: a rollout that stopped leaves the others alone."""
        return sum(board.state != "idle" for board in self.boards)

    @property
    def saved(self) -> float:
        """Percentage of the full images that was not sent, over the boards that were offered the release."""
        full = self.image_size * max(1, self.reached)
        return 100.0 * (1 - self.bytes_sent / full)

    def write(self, path: Path) -> None:
        """Writes the figures as one JSON object."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**asdict(self), "saved_percent": round(self.saved, 2)}, indent=1) + "\n")


def size(count: int) -> str:
    """`1,753,328 B`."""
    return f"{count:,} B"


def show(summary: Summary, console: Console) -> None:
    """Prints the summary; fits 80 columns."""
    working = f"{size(summary.heap_peak)} above the agent at rest" if summary.heap_peak else "not measured"
    boards = f"{summary.reached} board{'' if summary.reached == 1 else 's'}"
    figures = Table(box=None, show_header=False, padding=(0, 1))
    figures.add_column(style="bold", no_wrap=True)
    figures.add_column()
    rows = [
        ("image", size(summary.image_size)),
        ("package", f"{size(summary.package_size)} (patch {size(summary.patch_size)}, {summary.codec})"),
        ("sent", f"{size(summary.bytes_sent)} to {boards}, {summary.saved:.1f} % saved"),
        ("time", f"{summary.seconds:.1f} s from rollout to the last board"),
        ("working heap", working),
        ("agent code", ", ".join(f"{name} {count:,}" for name, count in summary.agent_mpy.items()) + " B"),
        ("rollout", " ".join(filter(None, (summary.rollout_state, summary.rollout_reason)))),
    ]
    for name, value in rows:
        figures.add_row(name, value)
    console.print(figures)
    table = Table(box=None, padding=(0, 1))
    for head in ("board", "state", "version", "slot", "image", "power cuts", "error"):
        table.add_column(head, no_wrap=head != "error")
    for b in summary.boards:
        table.add_row(b.name, b.state, b.version, b.slot, b.image_sha256[:8], str(b.power_cuts), b.error)
    console.print(table)
