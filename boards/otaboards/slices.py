"""The slices that the agent's code can be installed in: a core, and a slice for each family of codecs."""

from fnmatch import fnmatch
from pathlib import Path

from otaboards.mpy import HOST_ONLY

# slice: its modules below otaspec; everything else of agent and contract is core
SLICES = {
    "bsdiff": ("bsdiff", "full", "heatshrink", "_hot_bsdiff"),
    "address": ("address*", "_hot", "_hot_[!b]*"),
}
CORE = "core"


def slice_of(module: str) -> str | None:
    """The slice of "otaspec/cbor.mpy"; None for what no board carries."""
    path = Path(module)
    if path.with_suffix(".py").as_posix() in HOST_ONLY:
        return None
    if path.parent.name == "otaspec":
        for name, patterns in SLICES.items():
            if any(fnmatch(path.stem, pattern) for pattern in patterns):
                return name
    return CORE


def sizes(tree: Path) -> dict[str, int]:
    """Bytes of .mpy of each slice in a folder that `mpy.compile_tree` made."""
    found = dict.fromkeys((CORE, *SLICES), 0)
    for path in tree.rglob("*.mpy"):
        name = slice_of(path.relative_to(tree).as_posix())
        if name:
            found[name] += path.stat().st_size
    return found
