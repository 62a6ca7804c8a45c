"""The plain variant of the hot loops: the same source without viper's decorators and casts. Host only.

CPython runs it (`plain`), and a build makes bytecode of it (`strip`) for a MicroPython that has no viper.
"""

import re
import sys
from pathlib import Path
from types import ModuleType

MODULES = ("_hot", "_hot_xtensa", "_hot_riscv", "_hot_thumb")
_ONE_CONSTANT = re.compile(r"^(_[A-Z0-9]+) = const\((-?\w+)\)", re.MULTILINE)


def const(value: int) -> int:
    """Stands in for micropython.const."""
    return value


def strip(source: str) -> str:
    """`source` without decorators and casts; line numbers stay."""
    source = re.sub(r"^@micropython\.viper$", "", source, flags=re.MULTILINE)
    source = re.sub(r": ptr(8|16|32)\b", "", source)
    return re.sub(r"\b(ptr8|ptr16|ptr32|int)\(", "(", source)


def for_cpython(source: str) -> str:
    """Stripped, and with its constants put in, which mpy-cross does by itself."""
    source = strip(source).replace("from micropython import const\n", "\n")
    for name, value in _ONE_CONSTANT.findall(source):
        source = re.sub(r"\b%s\b" % name, value, source)
    return re.sub(r"^-?\w+ = const\((-?\w+)\)", "", source, flags=re.MULTILINE)


def plain(name: str) -> ModuleType:
    """The module otaspec.`name` for CPython, made once."""
    full = "otaspec." + name
    if full not in sys.modules:
        if name != "_hot":
            plain("_hot")  # the others import it
        path = Path(__file__).with_name(name + ".py")
        module = ModuleType(full)
        module.__file__ = str(path)
        exec(compile(for_cpython(path.read_text()), str(path), "exec"), module.__dict__)
        sys.modules[full] = module
    return sys.modules[full]
