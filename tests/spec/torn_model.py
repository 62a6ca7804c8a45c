"""A model of torn writes: otadata, journal and slots of one board through an update, cut anywhere.

Pure: a world is a tuple, a run is the list of writes that follow from it. Since a run depends on its
world alone, worlds that cuts lead to are looked at once each: that is exhaustive, not sampled.
Everything that decides is the real thing (otaspec.boot, otaspec.rules); only images are mere names,
and a slot is whole or not. Runs on CPython and MicroPython.

Images: "home" runs and was confirmed; "prev" was confirmed before it; "bad" is an old one that dies at
once; "new" is the release; None does not verify.

Kinds of release: good; dead (no line of its agent runs); late (resets in its trial); reject (fails its
self-test); fickle (the same, and is dead from then on); offline (no server from now on, whatever runs).
"""

from otaspec import boot, journal, otadata, rules

SLOTS = 2
SEQ = {"prev": 3, "bad": 3, "home": 4, "new": 5}
HASH = {name: (name[0] * 32).encode() for name in SEQ}
MAX_BOOTS = 40


def _e(seq, state):
    return otadata.pack(seq, state)


def record(phase, slot, image, home, **changes):
    """A TRIAL record, as the world keeps it."""
    r = {
        "phase": phase, "slot": slot, "size": 1, "image": HASH[image], "seq": SEQ[image],
        "home_slot": 1 - slot, "home_size": 1, "home_image": HASH[home], "trials": 0, "begun": False,
        "causes": b"", "code": 0, "offline": 0, "undo": False, "told": False,
    }  # fmt: skip
    r.update(changes)
    return frozen(r)


def frozen(r):
    return tuple(sorted(r.items()))


N, P, V, A = otadata.NEW, otadata.PENDING, otadata.VALID, otadata.ABORTED
_OLD = record(journal.READY, 1, "prev", "bad")
_OWN = record(journal.READY, 0, "prev", "bad")
_DONE = record(journal.DONE, 1, "prev", "home")

# name: (entry 0, entry 1, image in slot 0, in slot 1, TRIAL record, release is blocked). home runs.
STARTS = {
    "fresh": (_e(1, V), otadata.BLANK, "home", None, None, False),
    "first boot": (otadata.BLANK, otadata.BLANK, "home", None, None, False),
    "a to b": (_e(3, V), _e(2, V), "home", "prev", None, False),
    "b to a": (_e(3, V), _e(4, V), "prev", "home", None, False),
    "rejected in b": (_e(3, V), _e(4, A), "home", "bad", None, False),
    "rejected in a": (_e(5, A), _e(4, V), "bad", "home", None, False),
    "by fallback": (otadata.BLANK, _e(4, A), None, "home", None, False),
    "newer broke": (_e(3, V), _e(4, V), "home", None, _DONE, False),
    "journal rolled back": (_e(3, V), _e(2, V), "home", "prev", _OLD, False),
    "journal of another image": (_e(3, V), _e(2, V), "home", "prev", _OWN, False),
}

OUTCOMES = {
    "good": "confirmed", "dead": "reverted", "late": "reverted", "reject": "reverted", "fickle": "reverted",
    "offline": "held",
}  # fmt: skip


class Broken(Exception):  # noqa: N818
    """A rule of SLOTS.md section 7 that must never be broken was."""


class Setting:
    """What is fixed in a run: the release's kind, the bootloader, and how the agent writes."""

    def __init__(self, kind, variant=boot.STOCK, split=True, table=rules.TABLE, steps=rules.STEPS):
        self.kind = kind
        self.variant = variant
        self.whole = variant == boot.REFERENCE
        self.split = split or self.whole
        self.table = table
        self.steps = steps


def start(name, setting):
    """The world of that name, with entries of the setting's variant."""
    world = STARTS[name]
    if not setting.whole:
        return world
    entries = [e if e == otadata.BLANK else _whole(e) for e in world[:2]]
    return tuple(entries) + world[2:]


def _whole(raw):
    return otadata.pack(otadata.seq_of(raw), otadata.state_of(raw), True)


class Run:
    """What follows from a world if nothing more is cut: `ops` [(who, op, world before)], `outcome`."""

    def __init__(self, world, setting, known=None):
        """`known`: {(world, reset cause) at a boot: run from there on}, of other runs of the same setting."""
        self.world = world
        self.setting = setting
        self.ops = []
        self.outcome = None
        self.cause = rules.PWRON
        boots = []  # (world, reset cause), operations before it
        for _ in range(MAX_BOOTS):
            before = self.world, self.cause
            rest = known.get(before) if known else None
            if rest:
                self.ops.extend(rest[0].ops[rest[1] :])
                self.outcome = rest[0].outcome
                break
            boots.append((before, len(self.ops)))
            self.outcome = self._boot()
            if not self.outcome and self.stuck and self.world == before[0]:
                self.outcome = "brick"  # it will do the same for ever, and no agent runs
            if self.outcome:
                break
        else:
            self.outcome = "diverged"
            return
        if known is not None:
            for boot, at in boots:
                known[boot] = self, at

    # -- writes

    def _do(self, who, op):
        self.ops.append((who, op, self.world))
        self.world = after(self.world, op)

    def _flash(self, who, ops):
        for op in ops:
            self._do(who, op)

    # -- one boot

    def _boot(self):
        """The outcome, or None after a reset."""
        setting = self.setting
        choice, ops = boot.decide(
            self.world[:2], SLOTS, False, lambda s: bool(self.world[2 + s]), setting.variant
        )
        self._flash("boot", ops)
        if choice == boot.RESET:
            return "brick"
        image = self.world[2 + choice]
        self.stuck = image == "bad" or (image == "new" and self._dies())
        if self.stuck:
            self.cause = rules.WDT
            return None
        return self._agent(choice, image)

    def _dies(self):
        """The release does not get to its agent."""
        trial = dict(self.world[4]) if self.world[4] else {"phase": 0}
        failed = trial["phase"] in (journal.REJECTED, journal.REVERTED) or self.world[5]
        return self.setting.kind == "dead" or (self.setting.kind == "fickle" and failed)

    def _agent(self, running, image):
        for _ in range(12):
            facts = self._facts(running, image)
            _, action = rules.decide(facts, self.setting.table)
            if action == "STEADY":
                if image == "new" or self.world[5]:
                    return self._settled(running, image)
                self._download(running)
                continue
            if action == "HOLD":
                return "held"
            if self._steps(action, running, image):
                return None
            if action == "TRIAL":
                if image == "new" and self.setting.kind == "late":
                    self.cause = rules.WDT
                    return None
                if self._steps(self._trial_end(running, image), running, image):
                    return None
        return "diverged"

    def _facts(self, running, image):
        trial = dict(self.world[4]) if self.world[4] else None

        def holds(slot, size, sha256):
            there = self.world[2 + slot]
            return bool(there) and HASH[there] == sha256

        return rules.Facts(self.world[:2], SLOTS, running, trial, holds)

    def _trial_end(self, running, image):
        known = self._facts(running, image).runs() == "candidate"
        kind = self.setting.kind
        passed = kind == "good" or (image != "new" and kind != "offline")
        if known:
            return "PASS" if passed else "NO_SERVER" if kind == "offline" else "FAIL"
        way_back = self.world[2 + 1 - running]
        return "PASS_UNKNOWN" if passed or not way_back else "FAIL_UNKNOWN"

    def _download(self, running):
        """From STEADY to READY: OPEN, the slot without its head, the head, READY."""
        slot, home = 1 - running, self.world[2 + running]
        if self._facts(running, home).entry() != "active":
            raise Broken("opened while running is not active")
        for step in self.setting.steps["OPEN"]:
            if step == "behead":
                self._do("agent", ("SE", slot))
            else:
                self._otadata(step, running, home)
        if self.world[2 + slot]:
            raise Broken("I2: written over an image that verifies")
        self._do("agent", ("SP", slot))
        self._do("agent", ("J", record(journal.READY, slot, "new", home)))

    def _otadata(self, step, running, image):
        facts = self._facts(running, image)
        if step == "mark_valid" and facts.entry() != "active":
            raise Broken("confirmed the entry of another slot")
        self._flash("agent", rules.otadata_writes(step, facts, self.setting.split))

    def _steps(self, action, running, image):
        """Carries out an action's steps; True if it ends in a reset."""
        for step in self.setting.steps[action]:
            trial = dict(self.world[4]) if self.world[4] else None
            if step == "reset":
                self.cause = rules.HARD
                return True
            if step == "block":
                self._do("agent", ("B",))
            elif step == "behead":
                self._do("agent", ("SE", trial["slot"]))
            elif step in ("mark_valid", "drop_entry", "boot_home", "boot_running", "boot_candidate"):
                self._otadata(step, running, image)
            elif trial:
                code = 501 if action == "FAIL" else 0
                changed = rules.record_after(step, trial, self.cause, code)
                self._do("agent", ("J", frozen(changed) if changed else None))
        return False

    def _settled(self, running, image):
        """Steady means: another reset boots the same, and nothing is left of what was undecided."""
        world = self.world
        choice, ops = boot.decide(world[:2], SLOTS, False, lambda s: bool(world[2 + s]), self.setting.variant)
        trial = dict(world[4]) if world[4] else None
        if choice != running or ops or self._facts(running, image).entry() != "active":
            return "unsettled"
        if image == "new":
            word = otadata.state_of(world[otadata.active(world[:2], self.setting.whole)])
            return "confirmed" if not trial or word == otadata.VALID else "unsettled"
        if image != "home":
            return "downgraded"
        if world[2 + 1 - running] == "new":
            return "rejected image left bootable"
        told = trial and trial["phase"] == journal.REVERTED
        if told and self.setting.kind in ("reject", "fickle") and trial["code"] != 501:
            return "wrong cause"
        return "reverted"


def after(world, op):
    """The world after a whole operation."""
    w = list(world)
    kind = op[0]
    if kind == "E":
        w[op[1]] = otadata.BLANK
    elif kind == "P":
        w[op[1]] = programmed(w[op[1]], op[2], op[3])
    elif kind == "SE":
        w[2 + op[1]] = None
    elif kind == "SP":
        w[2 + op[1]] = "new"
    elif kind == "J":
        w[4] = op[1]
    else:
        w[5] = True
    return tuple(w)


def programmed(raw, at, data):
    """NOR: bits go from 1 to 0 only."""
    raw = bytearray(raw)
    for i, byte in enumerate(data):
        if byte & ~raw[at + i] & 0xFF:
            raise ValueError("a program that needs 0 -> 1")
        raw[at + i] = byte
    return bytes(raw)


def cuts(world, op, thorough=True):
    """What a cut in `op` may leave: yields ("before" | "in order" | "out of order", world).

    In order: byte by byte from the first. Out of order: every subset of the words that change, and single
    bits of them (if `thorough`, else whole words only).
    """
    yield "before", world
    if op[0] == "SE" and world[2 + op[1]]:
        yield "in order", after(world, op)  # any torn sector 0: the image no longer verifies
    if op[0] not in "EP":
        return
    k = op[1]
    old, new = world[k], after(world, op)[k]
    changed = [i for i in range(otadata.SIZE) if old[i] != new[i]]
    for i in changed[1:]:
        if thorough or i % 4 == 0:
            yield "in order", with_entry(world, k, new[:i] + old[i:])
    for torn in subsets(old, new):
        yield "out of order", with_entry(world, k, torn)
    for torn in single_bits(old, new) if thorough else []:
        yield "out of order", with_entry(world, k, torn)


def with_entry(world, k, raw):
    return world[:k] + (raw,) + world[k + 1 :]


def words(old, new):
    return [i for i in range(0, otadata.SIZE, 4) if old[i : i + 4] != new[i : i + 4]]


def subsets(old, new):
    """Some words done, the others not: all but none and all."""
    places = words(old, new)
    for mask in range(1, (1 << len(places)) - 1):
        raw = bytearray(old)
        for bit, i in enumerate(places):
            if mask >> bit & 1:
                raw[i : i + 4] = new[i : i + 4]
        yield bytes(raw)


def single_bits(old, new):
    """One bit ahead of all the others, and one bit behind all the others."""
    for i in range(otadata.SIZE):
        for bit in range(8):
            if (old[i] ^ new[i]) >> bit & 1:
                for base in (old, new):
                    raw = bytearray(base)
                    raw[i] ^= 1 << bit
                    yield bytes(raw)


def unmonitored(world, setting):
    """The residual's definition: the new image boots by a state word that no bootloader watches."""
    k = otadata.active(world[:2], setting.whole)
    if k < 0 or world[2 + otadata.slot_of(world[k], SLOTS)] not in ("new", "bad"):
        return False
    return otadata.state_of(world[k]) not in (otadata.NEW, otadata.PENDING)


def hole(who, op, world):
    """The name in SLOTS.md section 8 of a write whose tear leaves the board unmonitored."""
    return boot.residual(who == "agent", op, world[op[1]])


class Explorer:
    """All worlds within `depth` cuts of a start, each judged by running on from it without a cut."""

    def __init__(self, setting, thorough=True):
        self.setting = setting
        self.thorough = thorough
        self.runs = {}
        self.boots = {}  # of all runs, see Run
        self.writes = set()  # (world before, operation): what was cut already; its cuts need no second look
        self.cases = 0
        self.bad = []  # (mode of the last cut, who, op, world before, world after, outcome)

    def run(self, world):
        if world not in self.runs:
            self.runs[world] = Run(world, self.setting, self.boots)
        return self.runs[world]

    def explore(self, name, depth, nvs=False, rot=False):
        """`nvs`: between any two writes the journal may also be lost, or rolled back to any earlier state.

        `rot`: one of two images that verify may also stop to do so.
        """
        first = start(name, self.setting)
        level = {first}
        seen = {first}
        for _ in range(depth):
            following = set()
            for world in sorted(level, key=repr):
                past = {first[4:], (None, False)}
                for who, op, before in self.run(world).ops:
                    past.add(before[4:])
                    if (before, op) in self.writes:
                        continue
                    self.writes.add((before, op))
                    for mode, torn in self._cuts(before, op, past if nvs else (), rot):
                        self.cases += 1
                        outcome = self.run(torn).outcome
                        if outcome != OUTCOMES[self.setting.kind]:
                            self.bad.append((mode, who, op, before, torn, outcome))
                        if torn not in seen:
                            seen.add(torn)
                            following.add(torn)
            level = following
        return self

    def _cuts(self, world, op, past, rot):
        yield from cuts(world, op, self.thorough)
        for journal_then in past:
            yield "nvs", world[:4] + journal_then
        if rot and world[2] and world[3]:
            yield "rot", world[:2] + (None,) + world[3:]
            yield "rot", world[:3] + (None,) + world[4:]
