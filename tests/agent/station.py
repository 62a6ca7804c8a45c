"""A whole board under test: images with the real agent in them, packages for them, and a way to watch."""

import asyncio
import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from otaboards import linux_host, loader, runtime
from otadiff.build import build_package
from otadiff.sign import Signer
from otasim import files, parts, sim
from otasim.board import Board, Event, Options
from otasim.faults import NONE, Faults
from otaspec import bundle as bundles
from otaspec import components, cose, errors, partition
from otaspec import manifest as manifests
from otaspec.image import LINUX_HOST

from tests.spec.packages import PRIVATE, PUBLIC, sign

from .service import Service

HEARD: set[int] = set()  # codes that boards reported, or named on their consoles, in the present test
EXAMPLES = Path(__file__).parent.parent.parent / "firmware" / "examples"
BLINK = linux_host.folder_files(EXAMPLES / "blink")


def image(version: str, app: Mapping[str, bytes] | None = None, fill: int = 20000) -> bytes:
    """A LINUX_HOST image: the agent, `app` over the example, and `fill` bytes that do not compress."""
    ballast = random.Random(version).randbytes(fill)
    agent = linux_host.agent_files(runtime.find().arch)
    return linux_host.pack_image(agent | BLINK | dict(app or {}) | {"ballast.bin": ballast}, version)


def full(image: bytes, seq: int = 7, version: str = "1.1.0", **change: Any) -> bytes:
    """The signed package that carries a whole image, and `bundle`, if there is one."""
    payload = change.pop("payload", image[manifests.IMAGE_HEAD :])
    bundle = change.pop("bundle", b"")
    digest = change.pop("bundle_sha256", hashlib.sha256(bundle).digest())
    if bundle:
        change.setdefault("components", components.bundle("app", len(bundle), digest))
    fields: dict[str, Any] = {
        **{"seq": seq, "product": "thermostat", "board": "LINUX_HOST", "chip": LINUX_HOST},
        **{"version": version, "image_size": len(image), "image_sha256": hashlib.sha256(image).digest()},
        **{"payload_size": len(payload), "payload_sha256": hashlib.sha256(payload).digest()},
        **{"payload_codec": 0, "payload_params": {}, "payload_ram": 0},
        **{"payload_head": image[: manifests.IMAGE_HEAD]},
    }
    manifest = manifests.Manifest(**(fields | change))
    signed = cose.sign1(manifests.encode(manifest), cose.kid(PUBLIC), sign)
    return manifests.package_head(signed) + bundle + payload


def alone(image: bytes, bundle: bytes, seq: int = 8, version: str = "1.2.0", **change: Any) -> bytes:
    """The signed package that brings boards which run `image` another bundle, and nothing else."""
    nothing = {"payload": b"", "payload_codec": manifests.KEPT, "payload_head": b""}
    return full(image, seq, version, bundle=bundle, **(nothing | change))


def bundle(app: str, **files: bytes) -> bytes:
    """An application's bundle: `app` is its app.py."""
    named = {name.replace("__", "/"): data for name, data in files.items()}
    return bundles.build({"app.py": app.encode()} | named)


def package(kind: str, old: bytes, new: bytes) -> bytes:
    """A signed package to `new`: "full" or "delta"."""
    return full(new) if kind == "full" else delta(old, new)


@cache
def delta(
    old: bytes, new: bytes, seq: int = 7, version: str = "1.1.0", kind: str | Path = "LINUX_HOST"
) -> bytes:
    """The signed package that the differ makes of two images."""
    made = build_package(
        old,
        new,
        board=loader.load(kind),
        product="thermostat",
        version=version,
        seq=seq,
        signer=Signer(PRIVATE),
    )
    assert made.manifest.base_size
    return made.data


def tight_board(folder: Path, size: int) -> Path:
    """A kind of board whose slots just hold an image of `size` bytes: nothing can be staged."""
    host = loader.load("LINUX_HOST")
    kind = folder / "LINUX_TIGHT"
    kind.mkdir()
    text = (host.folder / "board.toml").read_text()
    (kind / "board.toml").write_text(text.replace(f"staging = {host.staging}", "staging = 0"))
    slot = -(-size // 4096) * 4096
    second = 0x10000 + -(-slot // 0x10000) * 0x10000
    table = (host.folder / "partitions.csv").read_text().splitlines()
    rows = [line for line in table if not line.startswith("ota_")]
    rows += [f"ota_{n}, app, ota_{n}, {at:#x}, {slot:#x}," for n, at in enumerate((0x10000, second))]
    (kind / "partitions.csv").write_text("\n".join(rows) + "\n")
    return kind


@dataclass
class Station:
    """A board with `old` in slot 0, its server, and what was seen of it."""

    folder: Path
    service: Service
    old: bytes
    settings: dict[str, Any] = field(default_factory=dict)
    kind: str | Path = "LINUX_HOST"
    without: str = ""  # a row that its partition table lacks
    options: dict[str, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        host = loader.load(self.kind)
        settings = {
            **{
                "pk": "thermostat",
                "dn": "kitchen",
                "ps": self.service.ps,
                "server": self.settings.get("server") or self.service.url,
            },
            **{"keys": PUBLIC, "board": host.name, "dev": 1, "poll": 1, "timeout": 3},
            **{"wdt": 2000, "soak": 0, "checkin": 4},
        }
        self.files = files.create(
            self.folder / "board.bin",
            flash_size=host.flash_size,
            rows=host.rows,
            images={0: self.old},
            chip_id=host.chip_id,
            settings=settings | self.settings,
        )
        if self.without:
            table = partition.build([row for row in host.rows if row.label != self.without])
            with self.files.flash.open("r+b") as flash:
                flash.seek(partition.OFFSET)
                flash.write(table)
        if host.chip_id == LINUX_HOST:
            (self.folder / "code").mkdir()
            self.options.setdefault("unpack_into", self.folder / "code")
        else:
            self.options.setdefault("bundle", sim.bundle_for(runtime.find()))
        self.rows = host.rows

    async def run(self, *args: Any, **options: Any) -> "Station":
        """As _run; what was heard of errors is noted."""
        try:
            return await self._run(*args, **options)
        finally:
            HEARD.update(report["code"] for report in self.service.reports)
            words = {word.rstrip(":,") for line in self.console() for word in line.split()}
            HEARD.update(code for code, name in errors.TABLE.items() if name in words)

    async def _run(
        self, until: Callable[["Station"], bool], faults: Faults = NONE, seconds: float = 30
    ) -> "Station":
        """Switch the board on until `until` holds; AssertionError with its story where it never does."""
        options = Options(**self.options)
        board = Board(self.files, runtime.find(), options, faults, self.events.append)
        self.board = board
        life = asyncio.create_task(board.run())
        deadline = asyncio.get_running_loop().time() + seconds
        while not until(self):
            if life.done() or asyncio.get_running_loop().time() > deadline:
                board.switch_off()
                await life
                raise AssertionError(self.story())
            await asyncio.sleep(0.02)
        board.switch_off()
        await life
        return self

    def slot(self, number: int, size: int) -> bytes:
        """The first `size` bytes of a slot."""
        row = next(row for row in self.rows if (row.type, row.subtype) == (0, 0x10 + number))
        with self.files.flash.open("rb") as flash:
            flash.seek(row.offset)
            return flash.read(size)

    def erases(self) -> int:
        """Sector erases over the life of the board."""
        rtc = self.files.open_rtc()
        found = rtc[parts.layout.W_ERASES]
        rtc.close()
        return found

    def wear(self, label: str) -> list[int]:
        """Erases of each sector of a partition, over the life of the board."""
        row = next(row for row in self.rows if row.label == label)
        rtc = self.files.open_rtc()
        first = parts.layout.W_WEAR + row.offset // 4096
        found = [rtc[first + i] for i in range(row.size // 4096)]
        rtc.close()
        return found

    def said(self, name: str = "state") -> list[Any]:
        return [event.data.get(name) for event in self.events if event.kind == "report"]

    def runs(self) -> str:
        """The slot that booted last."""
        return [e.data["slot"] for e in self.events if e.kind == "slot"][-1]

    def console(self) -> list[str]:
        return [event.data["line"] for event in self.events if event.kind == "console"]

    def exits(self) -> list[str]:
        return [e.data["why"] for e in self.events if e.kind == "exit"]

    def story(self) -> str:
        """What happened, for a failed test."""
        lines = [
            e.data["line"] if e.kind == "console" else f"-- {e.kind} {e.data}" for e in self.events[-150:]
        ]
        return "\n".join(
            [*lines, f"reports: {self.service.reports[-5:]}", f"last poll: {self.service.polls[-1:]}"]
        )


def reported(state: str, code: int = 0) -> Callable[[Station], bool]:
    """Until the server has heard that."""
    return lambda s: any(r["state"] == state and r["code"] == code for r in s.service.reports)
