"""Starts the firmware as the port does: boot.py, then main.py, from the VFS or from what is frozen.

The bundle of the booted image stands for the frozen modules. The current folder is the VFS.
"""

import os
import sys

_STAND_INS = os.getenv("MICROPYPATH").split(":")[0]
_BUNDLE = os.getenv("DRIBLET_SIM_BUNDLE")


def _exists(name: str) -> bool:
    for folder in ("", _BUNDLE + "/"):
        for suffix in (".py", ".mpy"):
            try:
                os.stat(folder + name + suffix)
                return True
            except OSError:
                pass
    return False


import _board.here  # noqa: E402,F401 - takes the names of the files out of the environment

os.unsetenv("DRIBLET_SIM_BUNDLE")
os.unsetenv("MICROPYPATH")
sys.path[:] = [_STAND_INS, "", _BUNDLE, "lib", ".frozen"]
if _exists("boot"):
    __import__("boot")
if _exists("main"):
    __import__("main", None, None, False)  # as `micropython -m`: __name__ is "__main__"
