"""The journal in NVS (SLOTS.md section 6): otaspec.journal's records, read once, written through."""

import esp32
from micropython import const
from otaspec import journal
from otaspec.errors import error

_NVS_FAILED = const(404)

SESSION, HINT, TRIAL = journal.SESSION, journal.HINT, journal.TRIAL
BLOCKED, FLOOR, KNOWN, KEYS = journal.BLOCKED, journal.FLOOR, journal.KNOWN, journal.KEYS
BUNDLES = journal.BUNDLES


class Journal:
    """Records by kind; a lost one is None."""

    def __init__(self) -> None:
        self.nvs = esp32.NVS(journal.NAMESPACE)
        self._cache = {}

    def get(self, kind: int) -> "dict | None":
        if kind not in self._cache:
            key, longest = journal.BLOBS[kind]
            buf = bytearray(longest)
            try:
                raw = memoryview(buf)[: self.nvs.get_blob(key, buf)]
            except OSError:
                raw = None
            self._cache[kind] = journal.decode(kind, raw)
        return self._cache[kind]

    def put(self, kind: int, record: dict) -> None:
        """NVS_FAILED where it cannot be written."""
        raw = journal.encode(kind, record)
        try:
            self.nvs.set_blob(journal.BLOBS[kind][0], raw)
            self.nvs.commit()
        except OSError as e:
            raise error(_NVS_FAILED, "%s: %s" % (journal.BLOBS[kind][0], e))
        self._cache[kind] = journal.decode(kind, raw)

    def has(self, key: str) -> bool:
        """Whether there is a blob that is no record of ours."""
        try:
            return self.nvs.get_blob(key, bytearray(512)) >= 0
        except OSError:
            return False

    def change(self, kind: int, **fields) -> None:
        record = dict(self.get(kind))
        record.update(fields)
        self.put(kind, record)

    def erase(self, kind: int) -> None:
        self._cache[kind] = None
        try:
            self.nvs.erase_key(journal.BLOBS[kind][0])
            self.nvs.commit()
        except OSError:
            pass  # was not there


class Hints:
    """The HINT record of one session: how far it came, and which sectors a cut may have left undecided.

    `name` is "staged" or "written"; sectors are numbered within the backup slot, those below the number
    were read back. One write per sector that is erased, before it: so the record also says which
    sector was in work when the power went.
    """

    def __init__(self, book: Journal, digest: bytes, goes_on: bool) -> None:
        self._book = book
        hint = book.get(HINT)
        # (A session that failed left its hint, whose marks still count.)
        ours = goes_on and hint and hint["session"] == digest[:8]
        self._record = journal.dirty(hint)
        self._record["session"] = digest[:8]
        for name in ("staged", "written"):
            self._record[name] = hint[name] if ours else 0
        self._put()

    def at(self, name: str) -> int:
        return self._record[name]

    def is_dirty(self, sector: int) -> bool:
        return self._record["all_dirty"] or sector in self._record["dirty"]

    def begin(self, name: str, sector: int) -> None:
        """About to erase `sector`; those before it were read back."""
        if sector > self._record[name]:
            self._record[name] = sector
        elif sector == self._record[name] or self.is_dirty(sector):
            return
        else:  # behind where the session had come to already: a mark of its own
            self._record["dirty"] = list(self._record["dirty"]) + [sector]
            if len(self._record["dirty"]) > journal.MAX_DIRTY:
                self._record["dirty"], self._record["all_dirty"] = [], True
        self._put()

    def clean(self, sector: int) -> None:
        """`sector` was erased, written and read back. (The record follows with the next write.)"""
        if sector in self._record["dirty"]:
            self._record["dirty"] = [n for n in self._record["dirty"] if n != sector]

    def done(self, name: str, sectors: int) -> None:
        """All of it is there."""
        if sectors > self._record[name]:
            self._record[name] = sectors
            self._put()

    def restart(self, name: str) -> None:
        """What was written is wrong: begin anew, and trust no sector."""
        self._record["dirty"], self._record["all_dirty"] = [], True
        self._record[name] = 0
        self._put()

    def _put(self) -> None:
        if self._record != self._book.get(HINT):
            self._book.put(HINT, self._record)
