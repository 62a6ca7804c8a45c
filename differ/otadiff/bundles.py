"""An application's bundle (PACKAGE.md section 7): a folder in, the archive out, checked as a board does."""

import hashlib
from pathlib import Path
from typing import Any

from otaboards.linux_host import folder_files
from otaspec import bundle, components
from otaspec.errors import InputError, code, error

NAME = "app"


def pack(folder: Path) -> bytes:
    """The bundle of a folder's files, without caches and hidden files; NOT_FOUND, BUNDLE_INVALID."""
    if not folder.is_dir():
        raise InputError(code("NOT_FOUND"), f"folder {folder}"[:120])
    files = folder_files(folder)
    if not files:
        raise error(code("BUNDLE_INVALID"), f"no file in {folder}"[:120])
    try:
        made = bytes(bundle.build(files))
    except ValueError as problem:
        raise error(code("BUNDLE_INVALID"), str(problem)[:120]) from problem
    check(made)
    return made


def check(data: bytes) -> list[tuple[str, int, int]]:
    """[(name, offset, bytes), ...] of its files; BUNDLE_INVALID, BUNDLE_TOO_LARGE."""
    if len(data) > components.MAX_SIZE:
        raise error(code("BUNDLE_TOO_LARGE"), f"{len(data)} bytes, at most {components.MAX_SIZE}")

    def read(at: int, buffer: bytearray) -> None:
        buffer[:] = data[at : at + len(buffer)]

    found: Any = bundle.files_of(read, len(data))
    return list(found)


def fields(data: bytes) -> dict[str, Any]:
    """What a manifest says of it; nothing where there is none."""
    if not data:
        return {}
    return {"components": components.bundle(NAME, len(data), hashlib.sha256(data).digest())}
