"""The hot loops without viper: the same source, its decorators and casts taken off. Host only.

CPython runs them so (`plain`), and boards without viper, as bytecode (`strip`).
"""

import re
import sys
from pathlib import Path
from types import ModuleType

_CONSTANT = re.compile(r"^(_[A-Z0-9]+) = const\((-?\w+)\)", re.MULTILINE)


def const(value: int) -> int:
    """Stands in for micropython.const."""
    return value


def strip(source: str) -> str:
    """`source`, line by line; what uses no viper comes back as it is."""
    if "\n@micropython.viper\n" not in source:
        return source
    source = re.sub(r"^@micropython\.viper$", "", source, flags=re.MULTILINE)
    source = re.sub(r": ptr(8|16|32)\b", "", source)
    return re.sub(r"\b(ptr8|ptr16|ptr32|int)\(", "(", source)


def plain(name: str) -> ModuleType:
    """The module otaspec.`name`, stripped, for CPython; made once."""
    full = "otaspec." + name
    if full not in sys.modules:
        if name != "_hot":
            plain("_hot")  # the others import it
        path = Path(__file__).with_name(name + ".py")
        module = ModuleType(full)
        module.__file__ = str(path)
        exec(compile(_with_constants(strip(path.read_text())), str(path), "exec"), module.__dict__)
        sys.modules[full] = module
    return sys.modules[full]


def _with_constants(source: str) -> str:
    """The constants in place of their names, which mpy-cross does by itself."""
    source = source.replace("from micropython import const\n", "\n")
    for name, value in _CONSTANT.findall(source):
        source = re.sub(rf"\b{name}\b", value, source)
    return re.sub(r"^-?\w+ = const\(-?\w+\)", "", source, flags=re.MULTILINE)
