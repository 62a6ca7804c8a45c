"""MicroPython on this machine: find it, unpack it at the first use, run it.

Preferred: Debian's 1.25.0 for i386, whose object sizes are those of a 32-bit microcontroller. amd64 where the
kernel runs no 32-bit programs. Elsewhere the one that `$DRIBLET_MICROPYTHON` names.
"""

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from otaboards import debian
from otaboards.folders import runtime_folder
from otaboards.mpy import compile_mpy, compile_tree, plain_source

__all__ = ["Runtime", "compile_mpy", "compile_tree", "find", "plain_source"]

# What `sys.implementation._mpy >> 10` means: py/persistentcode.h, MP_NATIVE_ARCH_*. x64 runs bytecode: in
# viper's 64 bits a word that is read from memory loses its sign, and decoders go wrong.
_ARCHITECTURES = (
    *(None, "x86", None, "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp"),
    *("xtensa", "xtensawin", "rv32imc"),
)
_MPY_VERSION = (6, 3)  # of mpy-cross 1.25
_PROBE = """
import sys
def there(name):
    try:
        __import__(name)
        return True
    except ImportError:
        return False
i = sys.implementation
needed = 'asyncio deflate ffi hashlib tls uctypes vfs'.split()
print('.'.join(str(n) for n in i.version[:3]), i._mpy, ','.join(n for n in needed if not there(n)))
"""


@dataclass(frozen=True)
class Runtime:
    """A MicroPython that can be started.

    `arch` is mpy-cross's word for its native code ("x86"; None: bytecode only), `origin` says in words
    where it comes from, and why it is not the preferred one where it is not.
    """

    start: tuple[str, ...]
    arch: str | None
    version: str
    origin: str

    def command(
        self, args: Sequence[str], *, heap: str | None = None, path: Sequence[Path] = ()
    ) -> list[str]:
        """The words that run MicroPython with `args`: a file, or "-c" and code, or "-m" and a module.

        `heap` as in "100K"; `path` is searched before the frozen modules, instead of the user's own folders.
        """
        # A preloaded 64-bit library only makes the loader of a 32-bit program complain.
        setting = [f"MICROPYPATH={_search_path(path)}"] if path else []
        limit = ["-X", f"heapsize={heap}"] if heap else []
        return ["/usr/bin/env", "-u", "LD_PRELOAD", *setting, *self.start, *limit, *args]

    def environment(self, path: Sequence[Path]) -> dict[str, str]:
        """This process's environment with MICROPYPATH set, for starting `command(args)`."""
        return os.environ | {"MICROPYPATH": _search_path(path)}

    def run(
        self,
        script: str | Path,
        args: Sequence[str] = (),
        *,
        timeout: float,
        heap: str | None = None,
        path: Sequence[Path] = (),
        stdin: str | None = None,
        cwd: Path | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Runs a file (Path) or code (str) to its end. subprocess.TimeoutExpired after `timeout` seconds."""
        what = [str(script)] if isinstance(script, Path) else ["-c", script]
        return subprocess.run(
            self.command([*what, *args], heap=heap, path=path),
            input=stdin or "",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            cwd=cwd,
        )


def _search_path(path: Sequence[Path]) -> str:
    return ":".join([*(str(p) for p in path), ".frozen"])


def _silent(_: str) -> None:
    pass


_found: dict[tuple[str | None, Path], Runtime] = {}


def find(progress: Callable[[str], None] = _silent) -> Runtime:
    """The MicroPython to use; the first call on a machine unpacks it (2 to 5 s), as `progress` hears.

    Raises RUNTIME_MISSING (InputError) with what was in the way.
    """
    key = (os.environ.get("DRIBLET_MICROPYTHON"), runtime_folder())
    if key not in _found:
        _found[key] = _named(key[0]) if key[0] else _unpacked(key[1], progress)
    return _found[key]


def _named(executable: str) -> Runtime:
    """The MicroPython that the user names."""
    start = shutil.which(executable)
    if not start:
        raise debian.missing(f"DRIBLET_MICROPYTHON names {executable}, which cannot be started")
    try:
        return probe((str(Path(start).absolute()),), "named by DRIBLET_MICROPYTHON")
    except debian.CannotRun as error:
        raise debian.missing(f"DRIBLET_MICROPYTHON names {start}: {error}") from error


def _unpacked(folder: Path, progress: Callable[[str], None]) -> Runtime:
    """The one in `folder`, unpacked there first if need be. Many processes may ask at once."""
    runtime = _recorded(folder)
    if runtime:
        return runtime
    candidates = debian.architectures_here()
    if not candidates:
        raise debian.missing(f"Debian's MicroPython is not used on {os.uname().machine}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder / "lock"):
            return _recorded(folder) or _first_that_runs(candidates, folder, progress)
    except OSError as error:
        raise debian.missing(f"{folder}: {error.strerror or error}") from error
    except subprocess.SubprocessError as error:
        raise debian.missing(str(error)) from error


def _recorded(folder: Path) -> Runtime | None:
    for architecture in debian.architectures_here():
        try:
            record = json.loads((folder / architecture.name / "runtime.json").read_text())
        except (FileNotFoundError, NotADirectoryError):
            continue
        return Runtime(**record | {"start": architecture.start(folder / architecture.name)})
    return None


def _first_that_runs(
    candidates: Sequence[debian.Architecture], folder: Path, progress: Callable[[str], None]
) -> Runtime:
    why = ""
    for architecture in candidates:
        try:
            return _unpack(architecture, folder, why, progress)
        except debian.CannotRun as error:
            why = f"; {architecture.name} programs cannot run here ({error})"
            progress(f"{architecture.name} programs cannot run here")
    raise debian.missing(f"MicroPython was unpacked and does not start{why}")


def _unpack(
    architecture: debian.Architecture, folder: Path, why: str, progress: Callable[[str], None]
) -> Runtime:
    """Unpacks beside, tries, then renames: a folder with the final name is whole and was seen to run."""
    with tempfile.TemporaryDirectory(prefix="new-", dir=folder) as scratch:
        fresh = Path(scratch, "root")
        fresh.mkdir()
        versions = debian.unpack(architecture, fresh, progress)
        shutil.rmtree(fresh / "usr/share", ignore_errors=True)  # manuals
        origin = f"Debian {debian.SUITE} {architecture.name} {versions['micropython']}{why}"
        runtime = probe(architecture.start(fresh), origin)
        record = {key: value for key, value in asdict(runtime).items() if key != "start"}
        (fresh / "packages.json").write_text(json.dumps(versions, indent=1))
        (fresh / "runtime.json").write_text(json.dumps(record, indent=1))
        target = folder / architecture.name
        shutil.rmtree(target, ignore_errors=True)  # one without a record is the rest of a broken one
        fresh.rename(target)
    return Runtime(**record | {"start": architecture.start(target)})


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Held by one process of this machine at a time; the kernel frees it when the process ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def probe(start: tuple[str, ...], origin: str) -> Runtime:
    """Starts it once and reads what it is.

    Raises CannotRun where the machine cannot start it, RUNTIME_MISSING where it is none that fits.
    """
    try:
        answer = subprocess.run(
            [*start, "-c", _PROBE], capture_output=True, text=True, timeout=20, check=False
        )
    except OSError as error:
        raise debian.CannotRun(error.strerror or str(error)) from error
    if answer.returncode < 0:
        raise debian.CannotRun(f"ended by signal {-answer.returncode}")
    try:
        version, flags, lacking = (answer.stdout.rstrip("\n") + " ").split(" ")[:3]
        mpy = int(flags)
    except ValueError as error:
        raise debian.missing(f"{start[-1]} is not MicroPython's unix port") from error
    if (mpy & 0xFF, mpy >> 8 & 3) != _MPY_VERSION:
        raise debian.missing(f"{start[-1]} is MicroPython {version}; 1.25 is needed (.mpy version 6.3)")
    if lacking:
        raise debian.missing(f"{start[-1]} was built without {lacking.replace(',', ', ')}")
    number = mpy >> 10
    return Runtime(start, _ARCHITECTURES[number] if number < len(_ARCHITECTURES) else None, version, origin)
