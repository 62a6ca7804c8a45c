"""The hot loops without viper: the same source, its decorators and casts taken off. Host only.

CPython imports them so; boards without viper run them so as bytecode (`strip`).
"""

import re
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path

_CONSTANT = re.compile(r"^(_[A-Z0-9]+) = const\((-?\w+)\)", re.MULTILINE)


def strip(source: str) -> str:
    """`source`, line by line; what uses no viper comes back as it is."""
    if "\n@micropython.viper\n" not in source:
        return source
    source = re.sub(r"^@micropython\.viper$", "", source, flags=re.MULTILINE)
    source = re.sub(r": ptr(8|16|32)\b", "", source)
    return re.sub(r"\b(ptr8|ptr16|ptr32|int)\(", "(", source)


def strip_constants(source: str) -> str:
    """Values in place of the names of constants, which mpy-cross does by itself."""
    source = source.replace("from micropython import const\n", "const = int\n")
    for name, value in _CONSTANT.findall(source):
        source = re.sub(rf"\b{name}\b", value, source)
    source = re.sub(r"^([A-Z]\w*) = const\((-?\w+)\)", r"\1 = \2", source, flags=re.MULTILINE)
    return re.sub(r"^-?\w+ = const\(-?\w+\)", "", source, flags=re.MULTILINE)


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> "object":  # type: ignore[override]
        """Always from the source: a .pyc beside it may hold what an installer compiled, words and all."""
        path = self.get_filename(fullname)
        source = self.get_data(path).decode()
        return compile(strip_constants(strip(source)), path, "exec")


class _Finder:
    """Finds otaspec._hot*, the modules with viper's words in them."""

    @staticmethod
    def find_spec(name: str, path: "object", _target: "object" = None) -> "ModuleSpec | None":  # noqa: ARG004
        if not name.startswith("otaspec._hot"):
            return None
        file = Path(__file__).with_name(name.rpartition(".")[2] + ".py")
        if not file.is_file():
            return None
        return spec_from_file_location(name, file, loader=_Loader(name, str(file)))


def install() -> None:
    """Makes `import otaspec._hot` work on CPython."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
