"""What runs here, and the steps that otaspec.rules decides on, carried out on this board's flash and NVS."""

import os

import machine
from micropython import const
from otaspec import image, journal, rules
from otaspec.errors import BoardError, InputError, error

from . import slots
from .journal import BLOCKED, FLOOR, KNOWN, TRIAL, Journal
from .slots import SECTOR, hash_of

try:
    from otaspec import signature
except ImportError:
    signature = None  # images without Secure Boot

_NO_SECOND_SLOT = const(405)
_CONFIRM_FAILED = const(408)
_TRIAL_WATCHDOG = const(502)
_TRIAL_POWER_LOST = const(505)
_LAST_WORDS = const(800)  # bytes of a trial's log
_OTADATA = ("boot_home", "boot_running", "boot_candidate", "mark_valid", "drop_entry")
_RECORD = ("count", "begin", "intent", "done", "reject", "offline", "revert")


class Board:
    """`config`, `log`, the slots and the journal; `feed()` feeds the watchdog."""

    bundles = None  # bundles.Bundles, once the running image is known

    def __init__(self, config: "Config", log: "Log", feed: "callable") -> None:
        self.config = config
        self.log = log
        self.feed = feed
        self.obstacle = None  # why this board can never be updated
        self.running, self.other = slots.pair()
        if not self.other:
            self.obstacle = error(_NO_SECOND_SLOT)
        try:
            self.otadata = slots.Otadata()
        except BoardError as e:
            self.obstacle = e
        self.journal = Journal()
        self.cause = machine.reset_cause()
        self.on_trial = False
        self.frozen = not on_file_system()
        head = bytearray(image.HEAD)
        self.running.readinto(0, head)
        self.chip = head[12] | head[13] << 8
        desc = image.read_desc(self.running.readinto, self.running.size)
        self.secure_version = desc.get("secure_version", 0)
        self.size = 0  # of the running image, with its SHA-256: set by identify()
        self.image_sha256 = b""
        self.seq = 0
        self.least_seq = 0  # by the key set in force
        # The best of three: what the journal knows of this hash, the image's own word, provisioning's.
        self.version = desc.get("version") or config.version

    # -- the rules ---------------------------------------------------------------------------------

    def facts(self) -> rules.Facts:
        return rules.Facts(
            self.otadata.entries(), slots.count(), self.running.number, self.journal.get(TRIAL), self.holds
        )

    def settle(self) -> str:
        """Do what the boot rules say, until one of rules.FINAL; does not return where they end in a reset."""
        if self.obstacle:
            return "STEADY"
        while True:
            rule, action = rules.decide(self.facts())
            self.log("boot rule", rule, action)
            if action == "TRIAL" and self.facts().runs() != "candidate":
                return action  # the journal was lost: nothing to count in
            self.act(action)
            if action in rules.FINAL:
                return action

    def act(self, action: str, code: int = 0) -> None:
        for step in rules.STEPS[action]:
            self.do(step, code)

    def do(self, step: str, code: int = 0) -> None:
        if step == "reset":
            machine.reset()
        elif step in _OTADATA:
            facts = self.facts()
            self.otadata.do(rules.otadata_writes(step, facts, self.otadata.split))
            if step == "mark_valid":
                self._check_valid()
        elif step == "behead":
            if not self.in_place():
                self.behead()
        elif step == "block":
            trial = self.journal.get(TRIAL)
            self.block(trial["image"], trial["seq"])
        elif step == "forget":
            self.journal.erase(TRIAL)
        else:
            self._record(step, code)

    def _record(self, step: str, code: int) -> None:
        trial = rules.record_after(step, self.journal.get(TRIAL), self.cause, code)
        self.journal.put(TRIAL, trial)
        if step == "done":
            self.raise_floor()
            if self.bundles:
                self.bundles.keep()

    def _check_valid(self) -> None:
        facts = self.facts()
        if facts.entry() != "active" or facts.pending():
            raise error(_CONFIRM_FAILED, "entry reads back as unconfirmed")

    # -- the slots ---------------------------------------------------------------------------------

    def holds(self, slot: int, size: int, sha256: bytes) -> bool:
        """Whether that image stands in that slot."""
        if self.image_sha256 and slot == self.running.number and size == self.size:
            return sha256 == self.image_sha256  # known since the boot, and never written
        for one in (self.running, self.other):
            if one.number == slot and size <= one.size:
                for digest in hash_of(one, size):
                    self.feed()
                return digest == sha256
        return False

    def in_place(self) -> bool:
        """Whether the trial on record is one of a bundle alone (SLOTS.md section 10)."""
        t = self.journal.get(TRIAL)
        return bool(t) and t["slot"] == t["home_slot"]

    def kept(self) -> bytes:
        """SHA-256 of the image in the other slot that was confirmed before this one; empty: there is none."""
        t = self.journal.get(TRIAL)
        ours = t and t["phase"] == journal.DONE and t["slot"] == self.running.number
        return t["home_image"] if ours and self.other and t["home_slot"] == self.other.number else b""

    def behead(self) -> None:
        """Nothing bootable is left in the other slot."""
        self.other.erase(0)

    def block(self, sha256: bytes, seq: int) -> None:
        self.journal.put(BLOCKED, journal.block(self.journal.get(BLOCKED), sha256, seq))

    def floor(self) -> int:
        return journal.floor(self.journal.get(FLOOR), self.journal.get(TRIAL), max(self.seq, self.least_seq))

    def raise_floor(self) -> None:
        """Bring FLOOR up to what TRIAL says, before that record is overwritten."""
        record = dict(self.journal.get(FLOOR) or {"seq": 0})
        if record["seq"] != self.floor():
            record["seq"] = self.floor()
            self.journal.put(FLOOR, record)

    def other_boots(self) -> bool:
        """Whether the bootloader would take the other slot."""
        if self.obstacle:
            return False
        try:
            return bool(image.verify(self.other.readinto, self.other.size, self.chip, slots.CHECK))
        except InputError:
            return False

    def keep_evidence(self, text: str) -> None:
        """What a trial died of, and the end of its log, for the other image to report."""
        words = text[:120].encode() + b"\n" + self.log.text()[-_LAST_WORDS:]
        try:
            self.journal.nvs.set_blob("evidence", words)
            self.journal.nvs.commit()
        except OSError:
            pass

    def last_words(self) -> bytes:
        """What keep_evidence kept."""
        buf = bytearray(_LAST_WORDS + 500)
        try:
            return bytes(memoryview(buf)[: self.journal.nvs.get_blob("evidence", buf)])
        except OSError:
            return b""

    def evidence(self) -> str:
        """Its first line. Only what a trial said itself: one that was reset said nothing."""
        record = self.journal.get(TRIAL)
        spoke = record and record["code"] not in (_TRIAL_WATCHDOG, _TRIAL_POWER_LOST)
        return self.last_words().partition(b"\n")[0].decode() if spoke else ""

    # -- who runs ----------------------------------------------------------------------------------

    def identify(self) -> "generator":
        """Find size, hash, seq and version of the running image. A generator, as hash_of."""
        for size, recorded in self._candidates():
            for digest in hash_of(self.running, size):
                yield
            self.size, self.image_sha256 = size, digest
            if digest == recorded:
                break
        self.seq, version = journal.version_of(self.journal.get(KNOWN), digest)
        if version:
            self.version = version

    def _candidates(self) -> list:
        """(size, hash) that the running image may have: as recorded, else as its own header says.

        (What follows the header's image can only be guessed to be its signature: the record comes first.)
        """
        found = []
        trial = self.journal.get(TRIAL)
        for which in ("", "home_") if trial else ():
            if trial[which + "slot"] == self.running.number:
                found.append((trial[which + "size"], trial[which + "image"]))
        found.append((image_size(self.running) or SECTOR, None))
        return found


def image_size(slot: "Slot") -> int:
    """Bytes of the image in `slot` with its signature, as its header has them; 0 where there is none."""
    try:
        end = image.parse(slot.readinto, slot.size).size
        return signature.end_of(slot.readinto, end, slot.size) if signature else end
    except InputError:
        return 0


def on_file_system() -> bool:
    """Whether the agent comes from the file system, which both slots share, and not from the image."""
    for folder in ("otaagent", "lib/otaagent"):
        try:
            os.stat(folder)
            return True
        except OSError:
            pass
    return False
