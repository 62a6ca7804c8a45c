"""Frozen into the firmware: the agent must come from the image itself, as both slots share the file system.

`make BOARD=... FROZEN_MANIFEST=.../firmware/manifest.py` in MicroPython's ports/esp32, which executes
this file in its own folder.
"""

import os

# Of the contract, what no board needs: tools, and the bootloader's part.
HOST_ONLY = (
    "boot.py",
    "bundle.py",
    "hotstrip.py",
    "image_file.py",
    "ota_ops.py",
    "partition.py",
    "payload.py",
    "remedies.py",
)
DEVICE = tuple(
    n for n in sorted(os.listdir("../bootloader_spec/otaspec")) if n.endswith(".py") and n not in HOST_ONLY
)

include("$(PORT_DIR)/boards/manifest.py")
package("otaspec", files=DEVICE, base_path="../bootloader_spec", opt=3)
package("otaagent", base_path=".", opt=3)
module("boot.py", base_path=".")
module("main.py", base_path=".")
