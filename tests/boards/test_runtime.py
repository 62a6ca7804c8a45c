"""MicroPython: found, unpacked once however many ask, started; and what is said where that fails."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from otaboards import debian, runtime
from otaspec.errors import InputError

URIS = """\
'https://download.example/linux/debian/dists/bookworm/InRelease' a 0
'http://mirror.example/debian/dists/bookworm/InRelease' b 0
'http://mirror.example/debian/dists/bookworm-updates/InRelease' c 0
'http://mirror.example/debian-security/dists/bookworm-security/InRelease' d 0
'mirror+file:/etc/apt/mirrors/debian.list/dists/trixie/InRelease' e 0
'http://mirror.example/debian/dists/bookworm/main/binary-amd64/Packages.xz' f 0
"""


def test_mirrors_are_the_whole_distributions_debians_own_first() -> None:
    assert debian.mirrors_in(URIS) == [
        "https://download.example/linux/debian",
        "http://mirror.example/debian",
        "mirror+file:/etc/apt/mirrors/debian.list",
    ]


def test_runs_code_and_files_with_path_heap_arguments_and_input(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("answer = 42\n")
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, asyncio, module\nprint(module.answer, sys.argv[1:], sys.stdin.readline())\n"
    )
    micropython = runtime.find()
    answer = micropython.run(script, ["a", "b"], path=[tmp_path], heap="100K", stdin="hello\n", timeout=10)
    assert (answer.stdout, answer.stderr, answer.returncode) == ("42 ['a', 'b'] hello\n\n", "", 0)
    small = micropython.run("bytearray(70000)", heap="60K", timeout=10)
    assert small.returncode == 1
    assert "MemoryError" in small.stderr


def test_the_environment_and_the_command_give_the_same_search_path(tmp_path: Path) -> None:
    micropython = runtime.find()
    code = ["-c", "import sys; print(sys.path)"]
    by_command = subprocess.run(micropython.command(code, path=[tmp_path]), capture_output=True, check=True)
    by_environment = subprocess.run(
        micropython.command(code), env=micropython.environment([tmp_path]), capture_output=True, check=True
    )
    assert by_command.stdout == by_environment.stdout
    assert str(tmp_path).encode() in by_command.stdout


def test_a_program_that_never_ends_is_stopped() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        runtime.find().run("while True: pass", timeout=0.3)


@pytest.mark.parametrize(
    ("named", "says"),
    [("/nowhere/micropython", "cannot be started"), (sys.executable, "is not MicroPython's unix port")],
)
def test_a_wrong_micropython_named_by_the_user(
    monkeypatch: pytest.MonkeyPatch, named: str, says: str
) -> None:
    monkeypatch.setenv("DRIBLET_MICROPYTHON", named)
    with pytest.raises(InputError, match=says) as caught:
        runtime.find()
    assert caught.value.name == "RUNTIME_MISSING"


def test_a_micropython_named_by_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    start = tmp_path / "micropython"
    start.write_text(f'#!/bin/sh\nexec {shlex.join(runtime.find().start)} "$@"\n')
    start.chmod(0o755)
    monkeypatch.setenv("DRIBLET_MICROPYTHON", str(start))
    named = runtime.find()
    assert named.origin == "named by DRIBLET_MICROPYTHON"
    assert named.run("print(1)", timeout=10).stdout == "1\n"


def test_a_dead_mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DRIBLET_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("DRIBLET_DEBIAN_MIRROR", f"file:{tmp_path}/nothing")
    with pytest.raises(InputError, match=r"RUNTIME_MISSING: no Debian trixie at file:.*/nothing: [EW]:"):
        runtime.find()
    assert [p.name for p in tmp_path.iterdir()] == ["lock"]  # nothing half made is left


@pytest.mark.slow
def test_apt_configured_in_odd_ways(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A default release that is not in our sources, and a hook of the machine's own that fails."""
    (tmp_path / "apt.conf").write_text(
        'APT::Default-Release "bookworm";\nAPT::Update::Post-Invoke { "false"; };\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    monkeypatch.setenv("DRIBLET_RUNTIME_DIR", str(tmp_path / "a folder"))
    assert runtime.find().run("print(1)", timeout=10).stdout == "1\n"


def test_a_folder_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIBLET_RUNTIME_DIR", "/proc/driblet")
    with pytest.raises(InputError, match="RUNTIME_MISSING: /proc/driblet"):
        runtime.find()


def unpacked_or_garbage(garbage: set[str]) -> Callable[..., dict[str, str]]:
    """Stands for the fetch alone: gives what is unpacked here already, or programs that no kernel starts."""
    known = runtime.find()

    def unpack(architecture: debian.Architecture, target: Path, progress: debian.Progress) -> dict[str, str]:
        shutil.copytree(Path(known.start[0]).parents[2], target, dirs_exist_ok=True, symlinks=True)
        loader = target / architecture.loader
        loader.parent.mkdir(parents=True, exist_ok=True)
        if architecture.name in garbage:
            loader.unlink(missing_ok=True)
            loader.write_bytes(b"\x7fELF")
            loader.chmod(0o755)
        return {"micropython": "1.25.0"}

    return unpack


def test_no_architecture_that_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(debian, "unpack", unpacked_or_garbage({"i386", "amd64"}))
    monkeypatch.setenv("DRIBLET_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(InputError, match="amd64 programs cannot run here"):
        runtime.find()


@pytest.mark.slow
def test_falls_back_to_amd64_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fetch = debian.unpack
    garbage = unpacked_or_garbage({"i386"})
    monkeypatch.setattr(
        debian, "unpack", lambda a, t, p: garbage(a, t, p) if a.name == "i386" else fetch(a, t, p)
    )
    monkeypatch.setenv("DRIBLET_RUNTIME_DIR", str(tmp_path))
    said: list[str] = []
    fallback = runtime.find(said.append)
    assert fallback.arch is None  # bytecode
    assert "i386 programs cannot run here" in fallback.origin
    assert "i386 programs cannot run here" in said
    assert fallback.run("import sys; print(sys.maxsize > 2**31)", timeout=10).stdout == "True\n"


@pytest.mark.slow
def test_unpacked_once_when_many_processes_ask_at_once(tmp_path: Path) -> None:
    code = "from otaboards import runtime; print(runtime.find(lambda text: print('did', text)).start[0])"
    environment = {
        "DRIBLET_RUNTIME_DIR": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": ":".join(sys.path),
    }

    def ask(_: int) -> list[str]:
        answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.splitlines()

    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(ask, range(5)))
    assert len({lines[-1] for lines in answers}) == 1
    assert sum(len(lines) > 1 for lines in answers) == 1  # one of them did the work
    assert sorted(p.name for p in tmp_path.iterdir()) in (["i386", "lock"], ["amd64", "lock"])
