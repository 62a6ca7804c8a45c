"""One update, from the server's offer to the reset into the new image (SLOTS.md section 7 has the writes).

Nothing is written before the manifest was verified and checked; nothing is decoded before its hash was
checked; nothing is bootable before the whole slot was read back and hashed.
"""

import asyncio
import gc

from micropython import const
from otaspec import image, journal, verify
from otaspec import manifest as manifests
from otaspec.errors import Deferred, InputError, OtaError, ServerError, error

from . import config as settings
from . import http, staging
from .apply import Writer
from .board import image_size
from .fetch import Package
from .http import join
from .journal import BLOCKED, KNOWN, SESSION, TRIAL, Hints
from .slots import SECTOR, WORK, hash_of

try:
    from otaspec import patch
except ImportError:
    patch = None  # an image without decoders takes plain images only

_PACKAGE_TRUNCATED = const(108)
_PACKAGE_TRAILING_BYTES = const(109)
_PAYLOAD_HASH_WRONG = const(110)
_IMAGE_HASH_WRONG = const(111)
_CHUNK_HASH_WRONG = const(115)
_SECURE_VERSION_TOO_OLD = const(208)
_CODEC_UNKNOWN = const(114)
_ANSWER_INVALID = const(305)
_OUT_OF_MEMORY = const(407)
_TRIAL_NOT_BOOTABLE = const(506)

_HEAD = manifests.IMAGE_HEAD
_TRIES = const(2)  # of a package whose result is wrong
_LONGEST = const(512)  # bytes of a text in an offer
_LONGEST_KEPT = const(1024)  # of a manifest in the journal; a longer one is fetched again

CODECS = getattr(patch, "CODECS", (0, 2, 3)) if patch else (0,)


def room(board: "Board") -> int:
    """Bytes of a patch that this board can set aside beside images as large as the present ones."""
    if board.obstacle:
        return 0
    start = staging.in_slot(board.size, image_size(board.other))
    return max(board.other.size - start, staging.in_file(board.config.staging))


class Update:
    """One session. `run` returns only where nothing was armed."""

    def __init__(self, agent: "Agent", server: "Server", offer: dict) -> None:
        for name in ("url", "etag", "version"):
            if not isinstance(offer.get(name), str) or len(offer[name]) > _LONGEST:
                raise error(_ANSWER_INVALID, "update." + name)
        rollout = offer.get("rollout")
        self.rollout = "" if rollout is None else str(rollout)
        if len(self.rollout) > 64:
            raise error(_ANSWER_INVALID, "update.rollout")
        self.agent = agent
        self.board = agent.board
        self.offer = offer
        self.about = {name: offer.get(name) for name in ("rollout", "seq", "version")}
        config = agent.config
        pace = http.Pace(config.rate, config.deadline, config.timeout)
        self.package = Package(agent.download, join(server.base, offer["url"]), offer["etag"], pace)
        self.at = 0  # where the payload starts in the package
        self.next = -1  # the byte that an open download would bring
        self.signed = b""
        self.manifest = None
        self.here = False  # its image runs already, only the bundle is to change
        self.hints = None

    async def run(self) -> None:
        """ServerError: try again later, what was done is kept. Other errors are reported as final."""
        while True:
            try:
                return await self._install()
            except ServerError as e:
                status = self.agent.status
                self.agent.tell(status["state"], status["step"], e.code, self.about, e.evidence)
                raise e
            except MemoryError as e:
                self.agent.log.exception("update", e)
                return await self._fail(error(_OUT_OF_MEMORY))
            except Deferred as e:
                raise e  # the session is kept
            except OtaError as e:
                if not self._once_more(e):
                    return await self._fail(e)

    def _once_more(self, e: OtaError) -> bool:
        """A wrong hash may be the link's or a cell's fault: the session gets a second try."""
        book = self.board.journal
        session = book.get(SESSION)
        if e.code not in (_PAYLOAD_HASH_WRONG, _IMAGE_HASH_WRONG, _CHUNK_HASH_WRONG) or not session:
            return False
        self.agent.log("once more:", e)
        book.change(SESSION, failures=session["failures"] + 1)
        if session["failures"] + 1 < _TRIES:
            return True
        if e.code == _IMAGE_HASH_WRONG:
            self.board.block(session["image"], session["seq"])
        return False

    async def _fail(self, e: OtaError) -> None:
        agent = self.agent
        agent.log("failed:", e)
        agent.refuse(self.offer["etag"])
        agent.owed = (e, self.about)  # told in the next round, should there be no memory for it now
        self._forget()
        agent.pay()
        await agent.deliver()

    def _forget(self) -> None:
        """Nothing of this session is to be taken up again, not even at the next boot."""
        book = self.board.journal
        trial = book.get(TRIAL)
        if trial and trial["phase"] == journal.READY:
            book.erase(TRIAL)
        book.erase(SESSION)
        staging.discard()

    async def _install(self) -> None:
        if self.board.obstacle:
            raise self.board.obstacle
        await self.agent.ask("after check", self)
        await self._open()
        m = self.manifest
        bundles = self.board.bundles
        self.here = m.image_sha256 == self.board.image_sha256
        if self.here and not (bundles and bundles.differs(m)):
            return self._adopt()
        await self.agent.ask("before download", self)
        await self.progress("downloading", 2)
        waits = self._waits()
        if not waits:
            self._begin()
        if bundles:
            await bundles.fetch(self)
        if self.here:
            pass
        elif m.payload_codec == manifests.KEPT:
            try:
                from . import undo
            except ImportError:
                raise error(_CODEC_UNKNOWN, "no undo on this board")
            await undo.check(self)
        elif not waits:
            stage = await self._fetch()
            await self.agent.ask("after download", self)
            await self.agent.ask("before apply", self)
            if stage:
                await self._decode(stage)
            self.agent.download.close()
            await self.agent.ask("after apply", self)
            await self.agent.ask("before verify", self)
            await self._verify()
            await self.agent.ask("after verify", self)
        await self.progress("rebooting", 95)
        await self.agent.deliver()
        # Before anything is READY: from then on the boot rules arm it, and they ask nobody.
        await self.agent.ask("before arm", self)
        if not waits:
            self._ready()
        await self._arm()

    async def _fetch(self) -> "SlotStage | FileStage | None":
        """All bytes of the payload, and a stage where they have yet to be applied."""
        m = self.manifest
        if self.hints.at("written") * SECTOR >= m.image_size and self.head():
            return None
        if m.payload_codec == manifests.IMAGE:
            return await self._stream()
        if self._streams():
            from . import chunks

            return await chunks.decode(self)
        return await self._stage()

    # -- the manifest ------------------------------------------------------------------------------

    async def _open(self) -> None:
        """Fetch, verify and check the manifest. No write comes before the end of this."""
        head = self._kept_head() or await self._fetched_head()
        self.signed = bytes(memoryview(head)[manifests.HEAD_SIZE :])
        gc.collect()
        for m in verify.open_steps(head, self.agent.keys):
            await asyncio.sleep_ms(0)
        self.manifest = m
        self.at = m.payload_offset
        self.about["seq"], self.about["version"] = m.seq, m.version
        verify.check(m, self._facts(m))

    def _kept_head(self) -> bytes:
        """The head of this package from the open session, empty where it is not there."""
        session = self.board.journal.get(SESSION)
        if session and session["manifest"] and session["etag"] == self.package.etag:
            return manifests.package_head(session["manifest"])
        return b""

    async def _fetched_head(self) -> bytes:
        # Whoever may say no to the rest does not have it sent.
        await self.package.open(0, manifests.HEAD_SIZE + manifests.MAX_SIZE if self.agent.policy else 0)
        start = bytearray(manifests.HEAD_SIZE)
        await self.package.fill(memoryview(start))
        head = bytearray(manifests.HEAD_SIZE + manifests.size_of(start))
        head[: len(start)] = start
        await self.package.fill(memoryview(head)[len(start) :])
        self.next = -1 if self.agent.policy else len(head)
        return head

    async def read_on(self, at: int) -> None:
        """Be about to read byte `at` of the payload."""
        if self.next != self.at + at:
            await self.package.open(self.at + at)
        self.next = -1

    def _facts(self, m: "Manifest") -> verify.Board:
        board, config = self.board, self.board.config
        session = board.journal.get(SESSION)
        blocked = board.journal.get(BLOCKED)
        start = staging.in_slot(m.image_size, image_size(board.other))
        self.room = max(board.other.size - start, staging.in_file(config.staging))
        return verify.Board(
            product=config.pk,
            board=config.board,
            chip=board.chip,
            device=config.dn,
            agent=settings.API_LEVEL,
            slot_size=board.other.size,
            ram=config.ram,
            staging=self.room,
            seq_floor=board.floor(),
            open_digest=session["digest"] if session else b"",
            secure_version=board.secure_version,
            time=self.agent.now() or None,
            running_size=board.size,
            running_sha256=board.image_sha256,
            codecs=CODECS + (manifests.KEPT,),
            chunks=True,
            blocklist=[tuple(item) for item in blocked["images"]] if blocked else (),
        )

    def _adopt(self) -> None:
        """This image runs already, under a name that a lost journal forgot."""
        m, board = self.manifest, self.board
        board.seq, board.version = m.seq, m.version
        board.journal.put(KNOWN, journal.know(board.journal.get(KNOWN), m.image_sha256, m.seq, m.version))
        board.raise_floor()
        self.agent.tell("confirmed", 100, 0, self.about)

    def _waits(self) -> bool:
        """Whether this very image waits in the other slot, since its trial ended without a server."""
        m, t = self.manifest, self.board.journal.get(TRIAL)
        if not t or t["phase"] != journal.OFFLINE or (t["seq"], t["image"]) != (m.seq, m.image_sha256):
            return False
        return self.board.holds(t["slot"], t["size"], t["image"])

    # -- the session -------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Open the session, or go on with it."""
        m, book, stats = self.manifest, self.board.journal, self.agent.reports.stats
        session = book.get(SESSION)
        goes_on = session is not None and session["digest"] == m.digest
        if goes_on:
            stats.resumed(self.board.cause)
        else:
            stats.began()
            book.put(SESSION, {
                "digest": m.digest, "seq": m.seq, "slot": self.board.other.number, "size": m.image_size,
                "image": m.image_sha256, "version": m.version, "rollout": self.rollout,
                "etag": self.package.etag[:80], "head": m.payload_head,
                "manifest": self.signed if len(self.signed) <= _LONGEST_KEPT else b"",
            })  # fmt: skip
        self.hints = Hints(book, m.digest, goes_on)

    # -- a plain image -----------------------------------------------------------------------------

    async def _stream(self) -> None:
        """Straight into the slot, resumed at the sector that was in work."""
        m = self.manifest
        fresh = self.open_slot()
        start = self.hints.at("written") * SECTOR
        writer = Writer(self.board.other, m.image_size, _HEAD, self.hints, "written", start, fresh)
        if not start:
            writer.write(memoryview(m.payload_head))
        await self.read_on(max(start - _HEAD, 0))
        await self._receive(writer, m.image_size, 85)

    async def _receive(self, writer: Writer, size: int, last: int) -> None:
        """The rest of the package into `writer`; progress goes from 5 to `last`."""
        stats = self.agent.reports.stats
        try:
            while not writer.done:
                n = await self.package.readinto(writer.room())
                if not n:
                    raise error(_PACKAGE_TRUNCATED, "%d of %d bytes" % (writer.at, size))
                stats.bytes += n
                before = writer.at
                writer.filled(n)
                if writer.at != before:
                    writer.pause()  # also past sectors that were right: they are not fetched again
                    await self.progress("downloading", 5 + (last - 5) * writer.at // size)
        except OtaError as e:
            writer.pause()
            raise e
        stats.erases += writer.erases
        await self.expect_end()

    async def expect_end(self) -> None:
        """What follows the payload was not signed."""
        if await self.package.readinto(memoryview(bytearray(1))):
            raise error(_PACKAGE_TRAILING_BYTES)

    # -- a patch -----------------------------------------------------------------------------------

    def _streams(self) -> bool:
        """Whether the patch has chunks and no place to be staged; a session ends as it began."""
        m, hints = self.manifest, self.hints
        begun = hints.at("written") and not hints.at("staged")
        return m.payload_chunk_size and (begun or m.payload_size > self.room)

    async def _stage(self) -> "SlotStage | FileStage":
        """The patch, on this board and verified."""
        m, hints = self.manifest, self.hints
        there = image_size(self.board.other)
        stage = staging.place(self.board.other, m.image_size, there, m.payload_size, hints)
        first = stage.start // SECTOR
        done = hints.at("staged")
        if done != first + (m.payload_size + SECTOR - 1) // SECTOR:
            start = max(done - first, 0) * SECTOR
            writer = Writer(stage, m.payload_size, 0, hints, "staged", start)
            await self.read_on(start)
            await self._receive(writer, m.payload_size, 40)
        for digest in hash_of(stage, m.payload_size):
            await asyncio.sleep_ms(0)
        if digest != m.payload_sha256:
            hints.restart("staged")
            raise error(_PAYLOAD_HASH_WRONG, "reads as %s" % digest[:4].hex())
        return stage

    async def _decode(self, stage: "SlotStage | FileStage") -> None:
        m = self.manifest
        self.agent.download.close()
        fresh = self.open_slot()
        writer = Writer(self.board.other, m.image_size, _HEAD, self.hints, "written", 0, fresh)
        gc.collect()
        old = staging.Image(self.board.running, m.base_size)
        source = staging.Source(stage, m.payload_size)
        for _ in patch.decode(m.payload_codec, m.payload_params, old, source, writer, m.payload_ram):
            await self.progress("applying", 41 + 44 * writer.at // m.image_size)
        stage.close()
        self.keep_head(writer.head)
        self.agent.reports.stats.erases += writer.erases

    # -- the slot ----------------------------------------------------------------------------------

    def open_slot(self) -> bool:
        """From here on the other slot is no fallback: its image goes first, its entry after it.

        True where that was done now, so that sector 0 is erased.
        """
        board = self.board
        if self.hints.at("written"):
            return False
        board.raise_floor()
        board.journal.erase(TRIAL)
        board.act("OPEN")
        return True

    def head(self) -> bytes:
        """The first bytes of the image; empty until a decoder has made them and they were kept."""
        return self.board.journal.get(SESSION)["head"]

    def keep_head(self, head: bytes) -> None:
        if self.head() != head:
            self.board.journal.change(SESSION, head=head)

    async def _verify(self) -> None:
        """The whole image as read from flash, its head from the journal; then the head is programmed."""
        m, board = self.manifest, self.board
        await self.progress("verifying", 86)
        head = board.journal.get(SESSION)["head"]
        for digest in hash_of(board.other, m.image_size, head):
            await asyncio.sleep_ms(0)
        if digest != m.image_sha256 or len(head) != _HEAD:
            board.other.erase(0)
            self.hints.restart("written")
            raise error(_IMAGE_HASH_WRONG, "reads as %s" % digest[:4].hex())
        self._check_bootable(head)
        self._clear_head(head)
        board.other.program(0, memoryview(head))

    def _clear_head(self, head: bytes) -> None:
        """A cut may have cleared bits that the head needs: then its sector is written anew, without it."""
        other, found = self.board.other, bytearray(_HEAD)
        other.readinto(0, found)
        # (Encrypted flash never reads blank, and each row of it is programmed as a whole.)
        if other.encrypted or all([a & b == b for a, b in zip(found, head)]):
            return
        sector = memoryview(WORK)
        other.readinto(0, sector)
        other.erase(0)
        other.program(_HEAD, sector[_HEAD:])

    def _check_bootable(self, head: bytes) -> None:
        """What the bootloader would refuse, or what is not the app that its manifest says, gets no head."""
        m, other = self.manifest, self.board.other

        def read(at: int, mv: "memoryview") -> None:
            other.readinto(at, mv)
            if at < _HEAD:
                n = min(_HEAD - at, len(mv))
                mv[:n] = head[at : at + n]

        try:
            found = image.parse(read, m.image_size)
        except InputError as e:
            raise error(_TRIAL_NOT_BOOTABLE, str(e)[:120])
        if found.chip != m.chip or m.image_size - found.size > image.MAX_SIGNATURE:
            why = "for chip %d, %d bytes behind it"
            raise error(_TRIAL_NOT_BOOTABLE, why % (found.chip, m.image_size - found.size))
        secure = image.read_desc(read, m.image_size).get("secure_version", 0)
        if secure < max(m.secure_version, self.board.secure_version):
            raise error(_SECURE_VERSION_TOO_OLD, "%d in the image" % secure)

    def _ready(self) -> None:
        m, board, book = self.manifest, self.board, self.board.journal
        known = journal.know(book.get(KNOWN), board.image_sha256, board.seq, board.version)
        if not self.here:
            known = journal.know(known, m.image_sha256, m.seq, m.version)
        book.put(KNOWN, known)
        self.agent.reports.stats.save()
        book.put(TRIAL, {
            "phase": journal.READY, "slot": (board.running if self.here else board.other).number,
            "size": m.image_size, "image": m.image_sha256, "seq": m.seq,
            "home_slot": board.running.number, "home_size": board.size,
            "home_image": board.image_sha256, "undo": m.payload_codec == manifests.KEPT,
            "bundle": board.bundles.of(m) if board.bundles else b"",
        })  # fmt: skip

    async def _arm(self) -> None:
        """Count the trial, name the slot, reset: what the boot rule ARM does."""
        board = self.board
        staging.discard()
        board.cause = 0  # no trial has ended here
        if board.journal.get(TRIAL)["told"]:
            board.journal.change(TRIAL, told=False)
        board.do("count")
        if not self.here:
            board.do("boot_candidate")
        try:
            await self.agent.ask("after arm", self)
        except OtaError as e:
            if not self.here:
                board.do("drop_entry")
            raise e
        board.do("reset")

    async def progress(self, state: str, step: int) -> None:
        self.agent.tell(state, step, 0, self.about)
        await self.agent.ask("", self)
