"""Release images of the LINUX_HOST board: agent and application as an ESP app image (PACKAGE.md section 6).

The agent's sources are data here: they are compiled, never imported.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import otaspec
from otaspec import bundle, image_file
from otaspec.errors import InputError, TargetError, code
from otaspec.image import LINUX_HOST

from otaboards import loader, runtime
from otaboards.mpy import HOST_ONLY, compile_tree

LOAD_ADDRESS = 0x3F400020  # flash mapped as data on an ESP32; offset and address agree modulo 64 KB
IDF = "driblet LINUX_HOST"


def build_image(
    app_dir: Path,
    *,
    version: str,
    out: Path,
    extra_files: Mapping[str, bytes] | None = None,
    arch: str | None = None,
) -> Path:
    """Writes the image of a release to `out` and returns that path. The same input gives the same bytes.

    The files: the agent and the contract compiled, firmware/boot.py and main.py, `app_dir` over them,
    `extra_files` over all. `version`: at most 31 bytes. `arch`: machine code of the hot loops, that of the
    runtime here by default ("" for none).
    Raises NOT_FOUND for a folder that is none, IMAGE_INVALID, IMAGE_TOO_LARGE.
    """
    if not app_dir.is_dir():
        raise InputError(code("NOT_FOUND"), f"folder {app_dir}"[:120])
    native = runtime.find().arch if arch is None else arch or None
    files = agent_files(native) | folder_files(app_dir) | dict(extra_files or {})
    raw = pack_image(files, version)
    limit = loader.load("LINUX_HOST").slot_size
    if len(raw) > limit:
        raise TargetError(code("IMAGE_TOO_LARGE"), f"{len(raw)} bytes, the slot has {limit}")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(raw)
    return out


def pack_image(files: Mapping[str, bytes], version: str) -> bytes:
    """The image of a bundle of files."""
    try:
        desc = image_file.pack_desc(version=version, project="LINUX_HOST", idf=IDF)
        return bytes(image_file.build([(LOAD_ADDRESS, desc + bundle.build(dict(files)))], LINUX_HOST))
    except ValueError as error:
        raise InputError(code("IMAGE_INVALID"), str(error)[:120]) from error


def agent_files(arch: str | None) -> dict[str, bytes]:
    """What every LINUX_HOST image holds: otaspec and otaagent as .mpy, boot.py and main.py."""
    tree = compile_tree([Path(otaspec.__file__).parent, agent_package()], arch=arch)
    skip = {Path(name).with_suffix(".mpy").as_posix() for name in HOST_ONLY}
    files = {name: data for name, data in folder_files(tree).items() if name not in skip}
    return files | {name: (firmware_folder() / name).read_bytes() for name in ("boot.py", "main.py")}


def firmware_folder() -> Path:
    """Where boot.py, main.py and examples/ are: firmware/ of a checkout, otaboards/firmware of a wheel."""
    beside = agent_package().parent
    return beside if (beside / "boot.py").is_file() else Path(__file__).parent / "firmware"


def folder_files(folder: Path) -> dict[str, bytes]:
    """{path below `folder`: bytes} of every file, but not of caches and hidden files."""
    names = (path for path in sorted(folder.rglob("*")) if path.is_file())
    inside = {path.relative_to(folder): path for path in names}
    return {
        name.as_posix(): path.read_bytes()
        for name, path in inside.items()
        if not any(part.startswith((".", "__pycache__")) for part in name.parts)
    }


def agent_package() -> Path:
    """The folder of otaagent, found without running it."""
    spec = find_spec("otaagent")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(code("NOT_FOUND"), "otaagent is not installed")
    return Path(spec.submodule_search_locations[0])
