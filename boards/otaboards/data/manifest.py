"""Freezes the agent into a board's firmware: `make BOARD=... FROZEN_MANIFEST=<this file>` in ports/esp32.

A board of its own needs may have a manifest.py in its folder, which is then taken instead of this one.
"""

include("$(PORT_DIR)/boards/manifest.py")
include("../../../firmware/manifest.py")
