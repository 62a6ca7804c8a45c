"""Frozen into the firmware: the agent must come from the image itself, as both slots share the file system.

For MicroPython's manifest files to include: that of the ESP32 boards (boards/otaboards/data/manifest.py),
that of the emulated microcontroller (host_sim/mcu/manifest.py), or your own. Executed in its own folder.
"""

import os

# Of the contract, what no board needs: tools, and the bootloader's part.
HOST_ONLY = (
    "boot.py",
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

package("otaspec", files=DEVICE, base_path="../bootloader_spec", opt=3)
package("otaagent", base_path=".", opt=3)
module("boot.py", base_path=".")
module("main.py", base_path=".")
