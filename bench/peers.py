"""Sizes that other delta tools reach: prints JSON {tool: bytes or null} for OLD NEW.

Run with the Python of build/bench (see requirements.txt). xdelta3, zstd and xz are taken from PATH; a tool
that is not there is null.
"""

import io
import json
import lzma
import shutil
import subprocess
import sys
from pathlib import Path

import bsdiff4
import detools
import hdiffpatch


def _detools(old: bytes, new: bytes, compression: str) -> int:
    patch = io.BytesIO()
    detools.create_patch(io.BytesIO(old), io.BytesIO(new), patch, compression=compression)
    return len(patch.getvalue())


def _program(*command: str) -> int | None:
    """Size of what the command writes to stdout; None without the program."""
    if not shutil.which(command[0]):
        return None
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return len(done.stdout)


def sizes(old_file: Path, new_file: Path) -> dict[str, int | None]:
    """Every tool at its strongest setting that an update could use."""
    old, new = old_file.read_bytes(), new_file.read_bytes()
    paths = str(old_file), str(new_file)
    return {
        "bsdiff4": len(bsdiff4.diff(old, new)),
        "detools heatshrink": _detools(old, new, "heatshrink"),
        "detools crle": _detools(old, new, "crle"),
        "detools lzma": _detools(old, new, "lzma"),
        "hdiffpatch lzma2": len(hdiffpatch.diff(old, new, compression=hdiffpatch.Lzma2Config())),
        "xdelta3": _program("xdelta3", "-A", "-9", "-S", "lzma", "-e", "-c", "-s", *paths),
        "zstd --patch-from": _zstd(*paths),
        "xz, whole image": len(lzma.compress(new, preset=9 | lzma.PRESET_EXTREME)),
    }


def _zstd(old: str, new: str) -> int | None:
    # zstd takes its window from the size of the file that it may look back into.
    return _program("zstd", "-q", "--ultra", "-22", "--long=27", f"--patch-from={old}", new, "-c")


if __name__ == "__main__":
    print(json.dumps(sizes(Path(sys.argv[1]), Path(sys.argv[2]))))
