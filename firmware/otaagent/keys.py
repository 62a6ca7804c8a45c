"""Key sets: the first is frozen into the firmware, the roots sign each that follows (PACKAGE.md section 5).

The module `root_keys` of the image has it: SET, the payload of a key set. Nothing is taken on trial, so an
image that goes back leaves no keys behind.
"""

import hashlib
import os

from micropython import const
from otaspec import comb, journal, rotation
from otaspec.errors import OtaError, error

from .http import join, refused
from .journal import FLOOR, KEYS, KNOWN, TRIAL
from .slots import WORK

_KEY_SET_INVALID = const(116)
_KEY_SET_ROLLBACK = const(117)
_ANSWER_INVALID = const(305)
_LONGEST = const(8192)  # bytes of a signed set
_LONGEST_KEPT = const(1792)  # bytes of a set's payload: what the NVS has room for
_TABLES = const(2)  # comb tables; further keys verify more slowly

_NO_RECORD = {"tables": ()}


def open_ring(board: "Board") -> "Ring | None":
    """None where no key set is built in: then the keys that provisioning wrote sign."""
    try:
        import root_keys
    except ImportError:
        return None
    return Ring(board, root_keys.SET)


class Ring:
    """The set in force: of the one built in and the one kept, the later."""

    def __init__(self, board: "Board", built_in: bytes) -> None:
        self._board = board
        self._bad = ""  # URL of a set that was refused
        self._take(built_in, rotation.decode(built_in))
        record = board.journal.get(KEYS)
        try:
            kept = record and rotation.decode(record["set"])
        except OtaError as e:  # of a later agent: FLOOR knows its number
            board.log("kept key set:", e)
            kept = None
        if kept and kept.version > self.version:
            self._take(record["set"], kept)

    def _take(self, payload: bytes, keys: "KeySet") -> None:
        self._payload = payload
        self._set = keys
        self.version = keys.version
        self._board.least_seq = keys.seq_floor or 0

    def find(self, kid: bytes) -> "Key":
        """The signing key, with its table where there is one. KEY_SET_ROLLBACK: a later set was known."""
        floor = self._board.journal.get(FLOOR)
        if floor and floor["key_set"] > self.version:
            raise error(_KEY_SET_ROLLBACK, "%d, this had %d" % (self.version, floor["key_set"]))
        key = self._set.find(kid)
        key.table = self._table(kid)
        return key

    # -- from one set to the next ------------------------------------------------------------------

    async def follow(self, agent: "Agent", server: "Server") -> None:
        """Take the set that the server offers, if any. One that is refused is reported once."""
        self.settle()
        offer = agent.offered_keys
        if not isinstance(offer, dict):
            return
        url = offer.get("url")
        if type(offer.get("version")) is not int or not isinstance(url, str):
            raise error(_ANSWER_INVALID, "keys")
        url = join(server.base, url)
        if offer["version"] <= self.version or url == self._bad:
            return
        status = await agent.download.open("GET", url)
        signed = await agent.download.read(_LONGEST)
        if status != 200:
            raise refused(agent.download, {}, "of the key set")
        try:
            self.accept(signed)
            agent.log("key set", self.version)
        except OtaError as e:
            self._bad = url
            agent.log("failed:", e)
            about = {"rollout": None, "seq": self._board.seq, "version": self._board.version}
            agent.tell("failed", e.coarse, e.code, about, e.evidence)

    def accept(self, signed: bytes) -> None:
        """KEY_SET_INVALID, KEY_SET_ROLLBACK, SIGNATURE_WRONG, CBOR_MALFORMED; else it is in force."""
        self._board.feed()  # a few slow verifications follow
        found = rotation.step(self._set, signed)
        payload = rotation.encode(found)
        if len(payload) > _LONGEST_KEPT:
            raise error(_KEY_SET_INVALID, "%d bytes, kept are %d" % (len(payload), _LONGEST_KEPT))
        self._board.journal.put(KEYS, {"set": payload})
        self._take(payload, found)
        self.settle()

    def settle(self) -> None:
        """Make the set in force the least one, and finish what a power cut left undone. Not on trial.

        1. the set is kept; 2. its seq floor, if it has one, replaces what was confirmed; 3. FLOOR names the
        set, which ends it; 4. tables.
        """
        book = self._board.journal
        record = book.get(KEYS)
        if not record or record["set"] != self._payload:
            book.put(KEYS, {"set": self._payload})
        floor = dict(book.get(FLOOR) or {"seq": self._board.floor()})
        if floor.get("key_set", 0) < self.version:
            if self._set.seq_floor is not None:
                floor["seq"] = self._set.seq_floor
                self._forget_seqs(floor["seq"])
            floor["key_set"] = self.version
            book.put(FLOOR, floor)
        self._make_tables()

    def _forget_seqs(self, least: int) -> None:
        """No other witness may hold the floor higher than the roots want it."""
        board, book = self._board, self._board.journal
        known, trial = book.get(KNOWN), book.get(TRIAL)
        if known:
            images = [[item[0], min(item[1], least), item[2]] for item in known["images"]]
            book.put(KNOWN, {"images": images})
        if trial and trial["phase"] == journal.DONE:
            book.erase(TRIAL)
        board.seq = min(board.seq, least)

    # -- comb tables: a file for each key, its hash in the journal -------------------------------------

    def _make_tables(self) -> None:
        """Once for a set: about a slow verification for each key."""
        board = self._board
        record = board.journal.get(KEYS)
        if record["tables"] and not [k for k, _ in record["tables"] if _size(k) != comb.TABLE_SIZE]:
            return
        found = []
        usable = [key for key in self._set.keys if key.product in ("", board.config.pk)]
        for key in [key for key in usable if key.kid not in self._set.revoked][:_TABLES]:
            board.feed()
            try:
                table = comb.make_table(key.public)
                with open(_name(key.kid), "wb") as file:
                    file.write(table)
            except (OSError, MemoryError, ValueError) as e:
                board.log("no table:", e)
                break
            found.append([key.kid, hashlib.sha256(table).digest()])
        for kid, _ in record["tables"]:
            if kid not in [kept for kept, _ in found]:
                _remove(_name(kid))
        if found:
            board.journal.change(KEYS, tables=found)

    def _table(self, kid: bytes) -> "memoryview | None":
        for known, digest in (self._board.journal.get(KEYS) or _NO_RECORD)["tables"]:
            if known == kid and _size(kid) == comb.TABLE_SIZE:
                table = memoryview(WORK)[: comb.TABLE_SIZE]  # free until something is written
                with open(_name(kid), "rb") as file:
                    file.readinto(table)
                if hashlib.sha256(table).digest() == digest:
                    return table
        return None


def _name(kid: bytes) -> str:
    return "driblet.%s.comb" % kid.hex()


def _size(kid: bytes) -> int:
    try:
        return os.stat(_name(kid))[6]
    except OSError:
        return 0


def _remove(name: str) -> None:
    try:
        os.remove(name)
    except OSError:
        pass
