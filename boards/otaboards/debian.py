"""Takes MicroPython out of Debian 13's package, without root, on any machine that has apt.

apt works in a folder of its own, so the machine's packages and lists stay as they are. The mirror is the one
that the machine's own apt configuration names; Debian's archive key must have signed what it serves.
The package brings its own C library and loader, so it starts on any Linux kernel of its architecture.
"""

import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from otaspec import errors

SUITE = "trixie"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MICROPYTHON = ("micropython", "libc6", "libffi8", "libmbedcrypto16", "libmbedtls21", "libmbedx509-7")
APT_TIMEOUT = 300  # seconds, for one call

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Architecture:
    """How the programs of one Debian architecture are started from a folder."""

    name: str
    loader: str
    libraries: str
    machines: tuple[str, ...]  # `uname -m` of kernels that may run it

    def start(self, root: Path) -> tuple[str, ...]:
        """The words that start MicroPython unpacked in `root`."""
        return (
            str(root / self.loader),
            "--library-path",
            str(root / self.libraries),
            str(root / "usr/bin/micropython"),
        )


# In the order of preference: 32 bit has the object sizes of a microcontroller.
ARCHITECTURES = (
    Architecture("i386", "usr/lib/ld-linux.so.2", "usr/lib/i386-linux-gnu", ("x86_64", "i686", "i586")),
    Architecture("amd64", "usr/lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu", ("x86_64",)),
    Architecture("arm64", "usr/lib/ld-linux-aarch64.so.1", "usr/lib/aarch64-linux-gnu", ("aarch64",)),
)


def architectures_here() -> list[Architecture]:
    """The architectures that this machine may be able to run, the best first."""
    return [a for a in ARCHITECTURES if platform.machine() in a.machines]


class CannotRun(Exception):  # noqa: N818 - a finding, not a fault
    """This machine does not start the program, as a kernel without 32-bit support does not start i386's."""


def missing(evidence: str) -> errors.OtaError:
    """The error of a machine without MicroPython."""
    return errors.error(errors.code("RUNTIME_MISSING"), evidence[:120])


def mirrors() -> list[str]:
    """Mirrors to try: `$DRIBLET_DEBIAN_MIRROR`, or those of the machine's apt sources."""
    # Addresses that end in /debian first: sources of other makers may use Debian's suite names.
    named = os.environ.get("DRIBLET_DEBIAN_MIRROR")
    if named:
        return [named]
    answer = subprocess.run(
        ["apt-get", "update", "--print-uris"],
        capture_output=True,
        text=True,
        timeout=APT_TIMEOUT,
        check=False,
    )
    return mirrors_in(answer.stdout)


def mirrors_in(uris: str) -> list[str]:
    """The base addresses of whole distributions in the output of `apt-get update --print-uris`."""
    bases = re.findall(r"^'(.+?)/dists/[a-z]+/InRelease'", uris, re.MULTILINE)
    return sorted(dict.fromkeys(bases), key=lambda base: not base.endswith("/debian"))


def unpack(
    architecture: Architecture, target: Path, progress: Progress, packages: Sequence[str] = MICROPYTHON
) -> dict[str, str]:
    """Fetches the packages and unpacks them into `target`. Returns name -> version.

    Raises RUNTIME_MISSING where apt, a mirror or a package is not there.
    """
    with tempfile.TemporaryDirectory(prefix="apt-", dir=target.parent) as scratch:
        apt = Apt(Path(scratch), architecture)
        apt.find(packages[0], progress)
        return _fetch(apt, packages, target, progress)


def _fetch(apt: "Apt", packages: Sequence[str], target: Path, progress: Progress) -> dict[str, str]:
    progress(f"fetching {', '.join(packages)}")
    versions = {}
    for package in apt.download(packages):
        name, version = package.name.split("_")[:2]
        versions[name] = version.replace("%3a", ":")
        subprocess.run(["dpkg-deb", "-x", package, target], check=True, capture_output=True, timeout=60)
    return versions


class Apt:
    """apt with lists, state and cache in a folder of its own, for one architecture and one mirror."""

    def __init__(
        self, folder: Path, architecture: Architecture, suite: str = SUITE, sources: bool = False
    ) -> None:
        self.folder = folder
        self.architecture = architecture
        self.suite = suite
        self.sources = sources
        self.complaint = ""
        for name in ("lists/partial", "cache/archives/partial", "packages"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        self.options = [
            f"-oDir::Etc::sourcelist={folder}/sources.list",
            "-oDir::Etc::sourceparts=/dev/null",
            "-oDir::Etc::preferences=/dev/null",
            "-oDir::Etc::preferencesparts=/dev/null",
            f"-oDir::State::Lists={folder}/lists",
            f"-oDir::State::status={folder}/status",
            f"-oDir::Cache={folder}/cache",
            f"-oAPT::Architecture={architecture.name}",
            f"-oAPT::Architectures={architecture.name}",
            "-oAPT::Sandbox::User=root",
            "-oAcquire::Languages=none",
            "-oAcquire::Retries=2",
            "-oAPT::Default-Release=",
            "-oAcquire::AllowInsecureRepositories=false",
        ]

    def find(self, package: str, progress: Progress) -> None:
        """Reads the lists of the first mirror that has `package`. RUNTIME_MISSING where there is none."""
        for tool in ("apt-get", "apt-cache", "dpkg-deb"):
            if not shutil.which(tool):
                raise missing(f"{tool} is not here, so this is not Debian")
        if not KEYRING.is_file():
            raise missing("Debian's archive key is not here (package debian-archive-keyring)")
        candidates = mirrors()
        if not candidates:
            raise missing("apt's sources name no Debian mirror")
        for mirror in candidates:
            progress(
                f"reading the package list of Debian {self.suite} ({self.architecture.name}) at {mirror}"
            )
            if self.update(mirror, package):
                return
        raise missing(f"no Debian {self.suite} at {', '.join(candidates)}: {self.complaint}")

    def update(self, mirror: str, package: str) -> bool:
        """Whether the suite at `mirror` is signed by Debian and has `package`."""
        where = f"signed-by={KEYRING}] {mirror} {self.suite} main\n"
        lines = f"deb [arch={self.architecture.name} {where}"
        (self.folder / "sources.list").write_text(lines + (f"deb-src [{where}" if self.sources else ""))
        self._run("apt-get", "update")
        # Not the exit status: hooks of the machine's own apt configuration may fail after a good update.
        said = self.complaint
        found = bool(self._run("apt-cache", "show", package).stdout)
        self.complaint = said or self.complaint  # why there is no list says more than "No packages found"
        return found

    def download(self, packages: Sequence[str]) -> list[Path]:
        """The package files of `packages`; apt checks their hashes against the signed list."""
        self._run("apt-get", "download", *packages)
        found = sorted((self.folder / "packages").glob("*.deb"))
        if len(found) != len(packages):
            raise missing(f"the packages could not be fetched: {self.complaint}")
        return found

    def closure(self, packages: Sequence[str]) -> list[Path]:
        """The package files of `packages` and of everything that they depend on."""
        words = ("install", "--download-only", "--no-install-recommends", "-y")
        self._run("apt-get", *words, *packages)
        found = sorted((self.folder / "cache/archives").glob("*.deb"))
        here = {file.name.split("_")[0] for file in found}
        if not here.issuperset(packages):
            raise missing(f"the packages could not be fetched: {self.complaint}")
        return found

    def source(self, package: str) -> Path:
        """The upstream archive of a source package; apt checks its hash against the signed list."""
        self._run("apt-get", "source", "--download-only", package)
        found = sorted((self.folder / "packages").glob(f"{package}_*.orig.tar.*"))
        if not found:
            raise missing(f"the source of {package} could not be fetched: {self.complaint}")
        return found[0]

    def _run(self, tool: str, *words: str) -> "subprocess.CompletedProcess[str]":
        answer = subprocess.run(
            [tool, "-q", *self.options, *words],
            cwd=self.folder / "packages",
            env=os.environ | {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=APT_TIMEOUT,
            check=False,
        )
        complaints = [line for line in answer.stderr.splitlines() if line.startswith(("E:", "W:"))]
        self.complaint = complaints[0] if complaints else self.complaint
        return answer
