"""The agent's boot rules: what to do after a reset, whatever the reset left behind. SLOTS.md section 5.

One table, first match wins. It is the table of SLOTS.md, and the tests hold the two together.
The rules decide; `STEPS` says what each action does, in order; the agent carries the steps out.
An action whose steps do not end in "reset" is followed by another decide(), until one of `FINAL`.
"""

from . import otadata
from .journal import DONE, INTENT, OFFLINE, READY, REJECTED, REVERTED

MAX_TRIALS = 3

# machine.reset_cause()
PWRON, HARD, WDT = 1, 2, 3

_NONE = 0
_OPEN = (READY, INTENT, REJECTED, OFFLINE)
_WANTED = (READY, INTENT)
_FAILED = (REJECTED, OFFLINE)
_REST = (_NONE, DONE, REVERTED)
_ANY = (_NONE, READY, INTENT, DONE, REJECTED, OFFLINE, REVERTED)

# rule, phases of the TRIAL record, what runs, entry that names it, further fact, action
TABLE = (
    ("F1", _OPEN, "wrong", "", "", "FORGET"),
    ("F2", _OPEN, "home", "", "stale", "FORGET"),
    ("T1", _FAILED, "candidate", "active", "pending", "RESET"),
    ("T2", _FAILED, "candidate", "", "", "LEAVE"),
    ("T3", _WANTED, "candidate", "lower none", "", "CLAIM"),
    ("T4", (INTENT,), "candidate", "", "", "FINISH"),
    ("T5", (READY,), "candidate", "", "exhausted", "REJECT"),
    ("T6", (READY,), "candidate", "", "", "TRIAL"),
    ("G1", (REJECTED,), "home", "", "", "GIVE_UP"),
    ("G2", _WANTED, "home", "", "used_up", "GIVE_UP"),
    ("H1", _ANY, "home", "none", "", "CLAIM"),
    ("H2", _ANY, "home", "active", "restored", "CONFIRM"),
    ("H3", _ANY, "home", "active", "pending", "TRIAL"),
    ("G3", _WANTED, "home", "", "wrong_image", "FORGET"),
    ("A1", _WANTED, "home", "", "", "ARM"),
    ("H4", _ANY, "home", "lower", "", "DROP"),
    ("O1", (OFFLINE,), "home", "", "", "HOLD"),
    ("U1", (_NONE,), "home", "", "unproven", "CLAIM"),
    ("S1", _REST, "home", "", "", "STEADY"),
)

# What each action does, in this order. SLOTS.md section 5 says what each word means.
STEPS = {
    "FORGET": ("forget",),
    "RESET": ("reset",),
    "LEAVE": ("boot_home", "reset"),
    "CLAIM": ("boot_running", "reset"),
    "FINISH": ("mark_valid", "done"),
    "REJECT": ("reject",),
    "TRIAL": ("begin",),
    "CONFIRM": ("mark_valid",),
    "GIVE_UP": ("block", "behead", "revert"),
    "ARM": ("count", "boot_candidate", "reset"),
    "DROP": ("drop_entry",),
    "HOLD": (),
    "STEADY": (),
    # Not at boot, but written here once: opening slot b, and the three ends of a trial.
    "OPEN": ("behead", "drop_entry"),
    "PASS": ("intent",),
    "FAIL": ("reject",),
    "NO_SERVER": ("offline",),
    # A trial without a record (the journal was lost): no word is kept, and only a way back is taken.
    "PASS_UNKNOWN": ("mark_valid",),
    "FAIL_UNKNOWN": ("reset",),
}

FINAL = ("TRIAL", "HOLD", "STEADY")


class Facts:
    """What the rules look at.

    entries: the two raw otadata entries. slots: OTA slots. running: slot, -1 for factory.
    trial: the TRIAL record or None. holds(slot, size, sha256): that image stands in that slot (dear: a hash
    over a slot; asked only where a rule needs it). own_seq: seq built into the running image, 0 if unknown.
    """

    def __init__(
        self,
        entries: tuple,
        slots: int,
        running: int,
        trial: "dict | None",
        holds: "callable",
        own_seq: int = 0,
    ) -> None:
        self.entries = entries
        self.slots = slots
        self.running = running
        self.trial = trial
        self.holds = holds
        self.own_seq = own_seq
        self.whole = otadata.is_whole(entries)

    def phase(self) -> int:
        return self.trial["phase"] if self.trial else _NONE

    def runs(self) -> str:
        """candidate: the image on trial. wrong: its slot, another image. home: anything else."""
        t, phase = self.trial, self.phase()
        if phase not in _OPEN or t["slot"] != self.running:
            return "home"
        if phase in _FAILED and t["slot"] == t["home_slot"]:
            return "home"  # a trial in place: its image is the one to stay with
        return "candidate" if self._holds("") else "wrong"

    def entry(self) -> str:
        """active: the active entry names the running slot. lower: another valid one does. none."""
        if otadata.active_slot(self.entries, self.slots, self.whole) == self.running:
            return "active"
        for raw in self.entries:
            if otadata.is_valid(raw, self.whole) and otadata.slot_of(raw, self.slots) == self.running:
                return "lower"
        return "none"

    def pending(self) -> bool:
        """The running image is on trial for the bootloader."""
        k = otadata.active(self.entries, self.whole)
        return k >= 0 and otadata.state_of(self.entries[k]) == otadata.PENDING

    def restored(self) -> bool:
        """On trial for the bootloader, but an image that was confirmed before."""
        if not self.trial or not self.pending():
            return False
        if self.running == self.trial["home_slot"] and self._holds("home_"):
            return True
        return self.phase() == DONE and self.running == self.trial["slot"] and self._holds("")

    def unproven(self) -> bool:
        """It boots by a word that no bootloader watches, though another entry could take over.

        NEW is no such word: a bootloader without rollback leaves it, and would never leave a CLAIM.
        """
        k = otadata.active(self.entries, self.whole)
        if k < 0 or not otadata.is_valid(self.entries[1 - k], self.whole):
            return False
        return otadata.state_of(self.entries[k]) not in (otadata.NEW, otadata.PENDING, otadata.VALID)

    def stale(self) -> bool:
        """The record was not made by the image that runs: an NVS that was rolled back."""
        if self.running != self.trial["home_slot"] or self.trial["seq"] <= self.own_seq:
            return True
        return not self._holds("home_")

    def exhausted(self) -> bool:
        """Asked in the candidate: its last trial was begun before this boot."""
        return self.trial["begun"] and self.trial["trials"] >= MAX_TRIALS

    def used_up(self) -> bool:
        return self.trial["trials"] >= MAX_TRIALS

    def wrong_image(self) -> bool:
        return not self._holds("")

    def _holds(self, which: str) -> bool:
        t = self.trial
        return self.holds(t[which + "slot"], t[which + "size"], t[which + "image"])


def decide(facts: Facts, table: tuple = TABLE) -> tuple:
    """(rule, action) of the first row that fits. SLOTS.md section 5."""
    phase, runs, entry = facts.phase(), facts.runs(), facts.entry()
    for rule, phases, who, names, fact, action in table:
        if phase in phases and who == runs and (not names or entry in names.split()):
            if not fact or getattr(facts, fact)():
                return rule, action
    raise ValueError("no rule")  # the tests show that the table is complete


def otadata_writes(step: str, facts: Facts, split: bool = True) -> list:
    """Flash operations (see otadata.writes) of the otadata steps.

    split: seq is programmed last and an old entry is blotted before its erase. It closes the holes of torn
    writes that the agent itself could leave (SLOTS.md section 8), and needs flash without encryption.
    """
    entries, whole = facts.entries, facts.whole
    k = otadata.active(entries, whole)
    if step == "mark_valid":
        if k < 0 or otadata.state_of(entries[k]) == otadata.VALID:
            return []
        return otadata.replace(entries, k, otadata.with_state(entries[k], otadata.VALID, whole), split)
    if step == "drop_entry":
        spare = 1 - k if facts.entry() == "active" else k
        return otadata.replace(entries, spare, otadata.BLANK, split)
    slot = {"boot_home": "home_slot", "boot_candidate": "slot"}.get(step)
    slot = facts.running if slot is None else facts.trial[slot]
    if slot < 0:  # factory
        return [("E", 0), ("E", 1)]
    k, raw = otadata.armed(entries, facts.slots, slot, whole)
    return otadata.replace(entries, k, raw, split)


def record_after(step: str, trial: dict, cause: int = 0, code: int = 0) -> "dict | None":
    """The TRIAL record after one of the journal's steps; None: it is erased.

    cause: machine.reset_cause() of this boot, 0 where this boot did not end a trial. code: of errors.TABLE.
    """
    t = dict(trial)
    if step == "forget":
        return None
    if step == "count":  # before every arming: a board that dies at once must run out of trials
        if t["trials"] and cause:
            t["causes"] = (t["causes"] + bytes((cause,)))[-8:]
        t["phase"], t["begun"], t["trials"] = READY, False, min(t["trials"] + 1, MAX_TRIALS)
    elif step == "begin":  # begun already: the bootloader did not revert (an unmonitored boot)
        if t["begun"]:
            t["trials"] = min(t["trials"] + 1, MAX_TRIALS)
            t["causes"] = (t["causes"] + bytes((cause,)))[-8:]
        t["begun"] = True
    elif step == "intent":
        t["phase"] = INTENT
    elif step == "done":
        t["phase"], t["code"], t["told"] = DONE, 0, False
    elif step == "reject":
        t["phase"], t["code"] = REJECTED, code or verdict(t, cause)
    elif step == "offline":  # not counted: a dead server must not poison a release
        t["phase"], t["begun"] = OFFLINE, False
        t["trials"], t["offline"] = max(t["trials"] - 1, 0), min(t["offline"] + 1, 255)
    elif step == "revert":
        t["code"] = t["code"] or verdict(t, cause)
        t["phase"], t["told"] = REVERTED, False
    return t


def verdict(trial: dict, cause: int = 0) -> int:
    """The error code of a release whose trials ended without a word: by how the boards were reset."""
    if trial["phase"] == INTENT:
        return 408  # CONFIRM_FAILED: it passed, and the confirmation never held
    causes = trial["causes"] + bytes((cause,))
    if WDT in causes:
        return 502  # TRIAL_WATCHDOG
    return 503 if HARD in causes else 505  # TRIAL_CRASHED, TRIAL_POWER_LOST
