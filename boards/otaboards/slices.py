"""The slices that the agent's code can be installed in: a core, and what a board may go without."""

from fnmatch import fnmatch
from pathlib import Path

from otaboards.mpy import HOST_ONLY

# slice: its modules; everything else of agent and contract is core
SLICES = {
    "bsdiff": tuple("otaspec/" + name for name in ("bsdiff", "full", "heatshrink", "_hot_bsdiff")),
    "address": ("otaspec/address*", "otaspec/_hot", "otaspec/_hot_[!b]*", "*/chunks"),
    "keys": ("otaspec/comb", "otaspec/rotation", "otaagent/keys"),
    "names": ("otaspec/names",),
    "secure-boot": ("otaspec/signature",),
    "undo": ("otaagent/undo",),
    "mqtt": ("*/mqtt",),
    "bundles": ("otaspec/bundle", "otaspec/components", "otaagent/bundles"),
    "first-contact": ("otaagent/clock",),
    "application": tuple("otaagent/" + name for name in ("updates", "policy", "localtime", "reset")),
}
CORE = "core"


def slice_of(module: str) -> str | None:
    """The slice of "otaspec/cbor.mpy"; None for what no board carries."""
    path = Path(module)
    if path.with_suffix(".py").as_posix() in HOST_ONLY:
        return None
    module = path.with_suffix("").as_posix()
    names = (name for name, patterns in SLICES.items() if any(fnmatch(module, each) for each in patterns))
    return next(names, CORE)


def sizes(tree: Path) -> dict[str, int]:
    """Bytes of .mpy of each slice in a folder that `mpy.compile_tree` made."""
    found = dict.fromkeys((CORE, *SLICES), 0)
    for path in tree.rglob("*.mpy"):
        name = slice_of(path.relative_to(tree).as_posix())
        if name:
            found[name] += path.stat().st_size
    return found
