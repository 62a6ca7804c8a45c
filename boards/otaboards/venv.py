"""Makes a virtual environment with pip, also where Debian's python3-venv is not installed: `make setup`.

Debian splits off what puts pip into a new environment. Without it pip is taken, without root, out of the
package that would have brought it. Runs on the machine's own Python: nothing but the standard library.
"""

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from otaspec.errors import OtaError

from otaboards import debian

_PIP_PACKAGE = "python3-pip-whl"
_HINT = "Install it with `apt install python3-venv`, then try again."


def make(folder: Path) -> None:
    """The environment in `folder`, with pip. Raises RUNTIME_MISSING where pip cannot be had."""
    if find_spec("ensurepip"):
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        return
    say("python3-venv is not installed: taking pip out of Debian's package, without root")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    with tempfile.TemporaryDirectory(prefix="pip-", dir=folder) as scratch:
        debian.unpack(debian.ARCHITECTURES[0], Path(scratch), say, [_PIP_PACKAGE])
        wheel = next(Path(scratch, "usr/share/python-wheels").glob("pip-*.whl"))
        words = ["install", "--quiet", "--disable-pip-version-check", "pip"]
        subprocess.run([folder / "bin" / "python", wheel / "pip", *words], check=True)


def say(text: str) -> None:
    """A line of progress."""
    sys.stderr.write(text + "\n")


def main() -> None:
    """`python3 -m otaboards.venv FOLDER`"""
    try:
        make(Path(sys.argv[1]).absolute())
    except OtaError as error:
        sys.exit(f"pip is not here and could not be fetched: {error.evidence}\n{_HINT}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"the virtual environment could not be made (status {error.returncode})\n{_HINT}")


if __name__ == "__main__":
    main()
