"""The power goes at each write to flash while a bundle is fetched and unpacked: on littlefs, in memory.

stdin: the first operation that is cut, and the step to the next. Prints how many of both.
"""

import asyncio
import hashlib
import os
import sys

import vfs

SECTOR = 4096
SECTORS = 24


class PowerCut(Exception):  # noqa: N818 - as the lab calls it
    pass


class Thing:
    """A module, a manifest, ...: whatever is set on it."""


class Flash:
    """A block device whose power goes at operation `cut`: before it, after it or in the middle of it."""

    def __init__(self, cells: bytearray, cut: int = -1, how: int = 0) -> None:
        self.cells = cells
        self.done = 0
        self.cut = cut
        self.how = how
        self.dead = False  # files that were open then are closed by the garbage collector, much later

    def readblocks(self, n: int, buf: bytearray, at: int = 0) -> None:
        if self.dead:
            return
        start = n * SECTOR + at
        buf[:] = self.cells[start : start + len(buf)]

    def writeblocks(self, n: int, buf: bytes, at: int = 0) -> None:
        self._change(n * SECTOR + at, buf)

    def ioctl(self, op: int, n: int) -> int:
        if op == 4:
            return SECTORS
        if op == 5:
            return SECTOR
        if op == 6:
            self._change(n * SECTOR, b"\xff" * SECTOR)
        return 0

    def goes(self) -> bool:
        """To be asked before an operation: whether the power goes in it."""
        if self.dead:
            raise PowerCut
        self.done += 1
        self.dead = self.done == self.cut
        return self.dead

    def _change(self, at: int, data: bytes) -> None:
        if self.dead:
            return
        cut = self.goes()
        size = (0, len(data) // 2, len(data))[self.how] if cut else len(data)
        self.cells[at : at + size] = data[:size]
        if cut:
            raise PowerCut


class Nvs:
    """NVS in memory: atomic, cut before or after."""

    def __init__(self, flash: Flash, store: dict) -> None:
        self.flash = flash
        self.store = store

    def set_blob(self, key: str, value: bytes) -> None:
        cut = self.flash.goes()
        if not cut or self.flash.how:
            self.store[key] = bytes(value)
        if cut:
            raise PowerCut

    def get_blob(self, key: str, buf: bytearray) -> int:
        if key not in self.store:
            raise OSError(-0x1102)
        value = self.store[key]
        buf[: len(value)] = value
        return len(value)

    def commit(self) -> None:
        pass

    def erase_key(self, key: str) -> None:
        self.store.pop(key, None)


_NVS = None
esp32 = Thing()
esp32.NVS = lambda _: _NVS
esp32.Partition = None
sys.modules["esp32"] = esp32
machine = Thing()
sys.modules["machine"] = machine

from otaagent import bundles  # noqa: E402
from otaagent.journal import SESSION, Journal  # noqa: E402
from otaspec import bundle, journal  # noqa: E402
from otaspec.errors import OtaError  # noqa: E402

IMAGE = b"i" * 32
FILES = {"app.py": b"print(1)\n" * 30, "lib/words.py": b"W = 2\n", "f.bin": bytes(range(256)) * 34}
BUNDLE = bundle.build(FILES)
SHA = hashlib.sha256(BUNDLE).digest()


class Slot:
    number = 0


class Board:
    def __init__(self) -> None:
        self.journal = Journal()
        self.running = Slot()
        self.image_sha256 = IMAGE
        self.on_trial = False
        self.log = print if "-v" in sys.argv else lambda *_: None

    def feed(self) -> None:
        pass

    def in_place(self) -> bool:
        return False


class Package:
    async def fill(self, part: memoryview) -> None:
        part[:] = BUNDLE[self.at : self.at + len(part)]
        self.at += len(part)


class Update:
    """What bundles.fetch needs of an update: a manifest, a package, progress."""

    def __init__(self) -> None:
        self.manifest = Thing()
        self.manifest.bundle_size, self.manifest.bundle_sha256 = len(BUNDLE), SHA
        self.manifest.payload_codec, self.manifest.payload_size = 0, 1000
        self.package = Package()
        self.here, self.at = False, 500 + len(BUNDLE)
        self.agent = Thing()
        self.agent.reports = Thing()
        self.agent.reports.stats = Thing()
        self.agent.reports.stats.bytes = 0

    async def read_on(self, at: int) -> None:
        self.package.at = len(BUNDLE) + at

    async def progress(self, state: str, step: int) -> None:
        pass


def boot(flash: Flash, store: dict) -> Board:
    """A board with power again: file system mounted, agent's bundles made."""
    global _NVS
    _NVS = Nvs(flash, store)
    vfs.mount(vfs.VfsLfs2(flash), "/flash")
    os.chdir("/flash")
    board = Board()
    board.bundles = bundles.Bundles(board)
    return board


def whole() -> bool:
    """Whether the bundle's folder is there, and then it must be right."""
    if not bundles.exists(bundles.path_of(SHA)):
        return False
    for name in FILES:
        with open(bundles.path_of(SHA) + "/" + name, "rb") as file:
            if file.read() != FILES[name]:
                raise ValueError(name)
    return True


def run(flash: Flash, store: dict) -> bool:
    """Fetch and unpack; False where the power went."""
    try:
        board = boot(flash, store)
        whole()
        asyncio.run(board.bundles.fetch(Update()))
        return True
    except (PowerCut, OtaError, OSError) as e:
        if not flash.dead:  # (what is closed without power may fail in its own way)
            raise e
        return False
    finally:
        asyncio.new_event_loop()
        os.chdir("/")
        try:
            vfs.umount("/flash")
        except (OSError, PowerCut):
            pass


def settled(cells: bytearray) -> str:
    """What is wrong with the file system; empty if it holds the bundle and nothing else."""
    vfs.mount(vfs.VfsLfs2(Flash(cells)), "/flash")
    os.chdir("/flash")
    found = os.listdir("bundle")
    wrong = "" if whole() and found == [bundles.name_of(SHA)] else str(found)
    os.chdir("/")
    vfs.umount("/flash")
    return wrong


def main(first: int, step: int) -> None:
    cells = bytearray(b"\xff" * (SECTOR * SECTORS))
    vfs.VfsLfs2.mkfs(Flash(cells))
    fresh = bytes(cells)
    session = {"digest": SHA, "seq": 7, "slot": 1, "size": 1000, "image": SHA}
    store = {"session": journal.encode(SESSION, session)}
    uncut = Flash(cells)
    if not run(uncut, dict(store)) or settled(cells):
        raise ValueError("the uncut run")
    cuts = 0
    for cut in range(first, uncut.done + 1, step):
        for how in range(3):
            cells[:] = fresh
            kept = dict(store)
            if run(Flash(cells, cut, how), kept):
                raise ValueError("no cut at %d" % cut)
            cuts += 1
            if not run(Flash(cells), kept) or settled(cells):
                raise ValueError("after a cut at %d: %s" % (cut, settled(cells)))
    print(uncut.done, cuts)


main(int(sys.stdin.readline()), int(sys.stdin.readline()))
