"""Compiling: native for the runtime's machine, plain bytecode elsewhere, once for the same sources."""

from pathlib import Path

import pytest
from otaboards import mpy, runtime
from otaboards.mpy import compile_mpy, compile_tree, plain_source
from otaspec.errors import InputError

HOT = """\
import micropython


@micropython.viper
def add(a: int, b: int) -> int:
    return a + b
"""


def package(folder: Path, hot: str = HOT) -> Path:
    (folder / "thing" / "deep").mkdir(parents=True, exist_ok=True)
    (folder / "thing" / "__init__.py").write_text("from thing._hot import add\n")
    (folder / "thing" / "_hot.py").write_text(hot)
    (folder / "thing" / "deep" / "__init__.py").write_text("value = 7\n")
    return folder / "thing"


@pytest.mark.parametrize("native", [True, False])
def test_a_compiled_package_runs(tmp_path: Path, native: bool) -> None:
    micropython = runtime.find()
    tree = compile_tree([package(tmp_path)], arch=micropython.arch if native else None)
    code = "import thing, thing.deep; print(thing.add(2, 3), thing.deep.value)"
    answer = micropython.run(code, path=[tree], timeout=10)
    assert (answer.stdout, answer.stderr) == ("5 7\n", "")
    flags = (tree / "thing/_hot.mpy").read_bytes()[2]
    assert (flags >> 2 != 0) == (native and micropython.arch is not None)


def test_the_same_sources_are_compiled_once(tmp_path: Path) -> None:
    first = compile_tree([package(tmp_path)], arch=None)
    stamp = (first / "thing/_hot.mpy").stat().st_mtime_ns
    assert compile_tree([package(tmp_path)], arch=None) == first
    assert (first / "thing/_hot.mpy").stat().st_mtime_ns == stamp
    assert compile_tree([package(tmp_path, HOT + "# changed\n")], arch=None) != first


def test_tracebacks_name_the_module_and_the_line_of_the_source(tmp_path: Path) -> None:
    hot = HOT.replace("return a + b", "raise ValueError")
    tree = compile_tree([package(tmp_path, hot)], arch=None)
    answer = runtime.find().run("import thing; thing.add(1, 2)", path=[tree], timeout=10)
    assert 'File "thing/_hot.py", line 6' in answer.stderr


def test_plain_source_takes_off_native_decorators_only() -> None:
    assert plain_source("@micropython.viper\ndef f(): ...\n") == "\ndef f(): ...\n"
    assert plain_source("@property\ndef f(): ...\n") == "@property\ndef f(): ...\n"


def test_a_module_that_does_not_compile(tmp_path: Path) -> None:
    source = tmp_path / "wrong.py"
    source.write_text("def f(:\n")
    with pytest.raises(InputError, match=r"IMAGE_INVALID: app/wrong.py: SyntaxError"):
        compile_mpy(source, tmp_path / "wrong.mpy", arch=None, name="app/wrong.py")


def test_a_build_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpy, "build_folder", lambda name: Path("/proc/driblet") / name)
    with pytest.raises(InputError, match="FILE_UNREADABLE: /proc/driblet/mpy/"):
        compile_tree([package(tmp_path)], arch=None)
