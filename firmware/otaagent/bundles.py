"""The bundle of an image: fetched, unpacked under its hash, chosen by the running image (SLOTS.md 10)."""

import asyncio
import hashlib
import os
import sys

from micropython import const
from otaspec import bundle, journal
from otaspec import manifest as manifests
from otaspec.errors import OtaError, error

from . import trial
from .journal import BUNDLES, KNOWN, SESSION, TRIAL
from .slots import CHECK, SECTOR, WORK

_PAYLOAD_HASH_WRONG = const(110)
_BASE_WRONG = const(205)
_BUNDLE_TOO_LARGE = const(214)
_FLASH_READ_BACK_WRONG = const(403)
_FILE_SYSTEM_FAILED = const(411)
_TRIAL_CRASHED = const(503)

_FOLDER = "bundle"
_ROOM = const(16384)  # bytes of the file system that are left to the application
_FULL = const(28)  # ENOSPC
_MOST_STALE = const(8)  # names in the inventory
_RUNNING = (journal.READY, journal.INTENT, journal.DONE)
_OPEN = (journal.READY, journal.INTENT, journal.OFFLINE)
_EMPTY = {"images": (), "coming": b""}


def name_of(sha256: bytes) -> str:
    return sha256[:16].hex() or ""  # (of nothing it is bytes)


class Bundles:
    """The bundles of this board; making it chooses one and puts its folder first on sys.path."""

    def __init__(self, board: "Board") -> None:
        self._board = board
        self._stale = None
        self.current = b""  # SHA-256 of the bundle in use
        self.folder = ""
        try:
            self.keep()
            self._collect()
        except (OSError, OtaError) as e:
            board.log("bundles:", e)  # what cannot be written now is tried at the next boot
        wanted = self._chosen()
        if wanted and exists(path_of(wanted)):
            self.current = wanted
            self.folder = os.getcwd().rstrip("/") + "/" + path_of(wanted)
            sys.path.insert(0, self.folder)
        elif wanted:
            board.log("bundle", name_of(wanted), "is not there")
            if board.on_trial:  # all or nothing
                known = board.facts().runs() == "candidate"
                trial.send_back(board, known, _TRIAL_CRASHED, "its bundle is not there")

    # -- which -------------------------------------------------------------------------------------

    def _record(self) -> dict:
        return dict(self._board.journal.get(BUNDLES) or _EMPTY)

    def _of_image(self, image: bytes) -> bytes:
        for item in self._record()["images"]:
            if item[0] == image:
                return item[1]
        return b""

    def _chosen(self) -> bytes:
        board = self._board
        t = board.journal.get(TRIAL)
        if t and t["phase"] in _RUNNING and t["slot"] == board.running.number:
            if t["image"] == board.image_sha256:
                return t["bundle"]
        return self._of_image(board.image_sha256)

    def of(self, m: "Manifest") -> bytes:
        """The bundle that the image of that manifest is to have."""
        if m.payload_codec == manifests.KEPT and not m.components:
            return self._of_image(m.image_sha256)
        return m.bundle_sha256

    def differs(self, m: "Manifest") -> bool:
        """Whether the running image is to have another bundle than it has."""
        return self.of(m) != self.current

    def keep(self) -> None:
        """A release that was confirmed: its image has its bundle from now on. (Done already: no write.)"""
        board, book = self._board, self._board.journal
        t = book.get(TRIAL)
        if not t or t["phase"] != journal.DONE:
            return
        image = t["image"]
        images = [list(item) for item in self._record()["images"] if item[0] != image]
        images = (images + [[image, t["bundle"]]])[-2:]
        known = [list(item) for item in self._record()["images"]]
        if known != images and (known or t["bundle"]):
            book.put(BUNDLES, {"images": images})
        if board.in_place() and journal.version_of(book.get(KNOWN), image)[0] != t["seq"]:
            session = book.get(SESSION)
            ours = session and session["seq"] == t["seq"]
            board.seq, board.version = t["seq"], session["version"] if ours else board.version
            book.put(KNOWN, journal.know(book.get(KNOWN), image, board.seq, board.version))

    # -- what lies about ---------------------------------------------------------------------------

    def _collect(self) -> None:
        """Remove what belongs to no image here and to no open session."""
        book = self._board.journal
        record, t = self._record(), book.get(TRIAL)
        wanted = [item[1] for item in record["images"]]
        if t and t["phase"] in _OPEN:
            wanted.append(t["bundle"])
        session = book.get(SESSION)
        if session and not (t and t["seq"] == session["seq"]):
            wanted.append(record["coming"])
        names = [name_of(each) for each in wanted if each]
        for name in listed(_FOLDER):
            whole, _, rest = name.partition(".")
            if whole not in names or (rest and exists(_FOLDER + "/" + whole)):
                remove(_FOLDER + "/" + name)
                self._board.feed()

    def inventory(self) -> dict:
        if self._stale is None:
            self._stale = self._find_stale()
        return {"bundle": self.current.hex() or "", "stale": self._stale}

    def _find_stale(self) -> list:
        """Files of the application's past that are never used: the bundle or the image has their like."""
        ours = [name.partition(".")[0] for name in listed(self.folder)] if self.folder else []
        used = list(ours)
        for name in sys.modules:
            if "." not in name and not _from_lib(sys.modules[name]):
                used.append(name)
        found = ["lib/" + name for name in listed("lib") if name.partition(".")[0] in used]
        found += [name for name in listed("") if name.partition(".")[0] in ours]
        return sorted(found)[:_MOST_STALE]

    # -- fetching ----------------------------------------------------------------------------------

    async def fetch(self, update: "Update") -> None:
        """The bundle of this update, if it has one, is on the file system afterwards, whole."""
        m = update.manifest
        size, target = m.bundle_size, path_of(m.bundle_sha256)
        try:
            if size:
                if m.payload_codec == manifests.KEPT and not update.here:
                    raise error(_BASE_WRONG, "a bundle for another image than runs")
                self._expect(m.bundle_sha256)
                if not exists(target):
                    await self._download(update, target + ".bin")
            await _ask(update, "after download", "before apply")
            if size and not exists(target):
                await self._unpack(update, target)
            await _ask(update, "after apply", "before verify", "after verify")
        except OSError as e:
            code = _BUNDLE_TOO_LARGE if e.errno == _FULL else _FILE_SYSTEM_FAILED
            raise error(code, "bundle: %s" % e)
        if update.here:
            self._board.raise_floor()  # the record of the last trial makes room

    def _expect(self, sha256: bytes) -> None:
        record = self._record()
        if record["coming"] != sha256:
            record["coming"] = sha256
            self._board.journal.put(BUNDLES, record)
        self._collect()
        if not exists(_FOLDER):
            os.mkdir(_FOLDER)

    async def _download(self, update: "Update", path: str) -> None:
        """All of it into a file, from where the last try ended; then its hash."""
        m, at = update.manifest, size_of(path)
        size = m.bundle_size
        if at > size:
            os.remove(path)
            at = 0
        if at < size:
            check_room(2 * size - at)
            await update.read_on(at - size)
            await self._receive(update, path, at)
            update.next = update.at
            if update.here and not m.payload_size:
                await update.expect_end()
        await self._check(update, path)

    async def _receive(self, update: "Update", path: str, at: int) -> None:
        size, buf = update.manifest.bundle_size, memoryview(WORK)
        with open(path, "ab") as file:
            while at < size:
                part = buf[: min(SECTOR, size - at)]
                await update.package.fill(part)
                file.write(part)
                file.flush()
                at += len(part)
                update.agent.reports.stats.bytes += len(part)
                await update.progress("downloading", 2 + (80 if update.here else 3) * at // size)

    async def _check(self, update: "Update", path: str) -> None:
        state = hashlib.sha256()
        with open(path, "rb") as file:
            while True:
                n = file.readinto(CHECK)
                if not n:
                    break
                state.update(memoryview(CHECK)[:n])
                await asyncio.sleep_ms(0)
        if state.digest() != update.manifest.bundle_sha256:
            os.remove(path)
            raise error(_PAYLOAD_HASH_WRONG, "the bundle's")

    # -- unpacking ---------------------------------------------------------------------------------

    async def _unpack(self, update: "Update", target: str) -> None:
        """Its files beside their place, each read back; then the folder gets its name."""
        part = target + ".part"
        with open(target + ".bin", "rb") as file:

            def read(at: int, mv: "memoryview") -> None:
                file.seek(at)
                file.readinto(mv)

            size = update.manifest.bundle_size
            need = 0
            for name, _, length in bundle.files_of(read, size):  # all of it is right before one is written
                need += length + SECTOR * (1 + name.count("/"))
                await asyncio.sleep_ms(0)
            if not exists(part):
                check_room(need)
                os.mkdir(part)
            for name, at, length in bundle.files_of(read, size):
                make_folders(part, name)
                path = part + "/" + name
                if not await _same(path, read, at, length):
                    await _write(path, read, at, length)
                    if not await _same(path, read, at, length):
                        raise error(_FLASH_READ_BACK_WRONG, name)
                await update.progress("applying" if update.here else "downloading", 83 if update.here else 5)
        os.rename(part, target)
        os.remove(target + ".bin")


async def _ask(update: "Update", *points) -> None:
    """Of a bundle alone; where there is an image, too, its stages are asked for."""
    if update.here:
        for point in points:
            await update.agent.ask(point, update)


async def _write(path: str, read: "callable", at: int, size: int) -> None:
    with open(path, "wb") as file:
        for piece in pieces(read, at, size):
            file.write(piece)
            await asyncio.sleep_ms(0)


async def _same(path: str, read: "callable", at: int, size: int) -> bool:
    """Whether the file at `path` is that one."""
    if size_of(path) != size or not exists(path):
        return False
    found = memoryview(CHECK)
    with open(path, "rb") as file:
        for piece in pieces(read, at, size):
            n = file.readinto(found[: len(piece)])
            if n != len(piece) or found[:n] != piece:
                return False
            await asyncio.sleep_ms(0)
    return True


def pieces(read: "callable", at: int, size: int) -> "generator":
    """Views of WORK, each good until the next."""
    for start in range(0, size, SECTOR):
        piece = memoryview(WORK)[: min(SECTOR, size - start)]
        read(at + start, piece)
        yield piece


# -- the file system -----------------------------------------------------------------------------------


def path_of(sha256: bytes) -> str:
    return _FOLDER + "/" + name_of(sha256)


def exists(path: str) -> bool:
    try:
        os.stat(path)
        return True
    except OSError:
        return False


def size_of(path: str) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return os.stat(path)[6]
    except OSError:
        return 0


def listed(path: str) -> list:
    try:
        return os.listdir(path) if path else os.listdir()
    except OSError:
        return []


def remove(path: str) -> None:
    """A file, or a folder with all in it."""
    if os.stat(path)[0] & 0x4000:
        for name in os.listdir(path):
            remove(path + "/" + name)
        os.rmdir(path)
    else:
        os.remove(path)


def make_folders(root: str, name: str) -> None:
    """Those that the file `name` lies in."""
    for part in name.split("/")[:-1]:
        root += "/" + part
        if not exists(root):
            os.mkdir(root)


def check_room(size: int) -> None:
    stat = os.statvfs(".")
    free = stat[0] * stat[3] - _ROOM
    if size > free:
        raise error(_BUNDLE_TOO_LARGE, "%d bytes, %d are free" % (size, free))


def _from_lib(module: object) -> bool:
    return getattr(module, "__file__", "").lstrip("/").startswith("lib/")
