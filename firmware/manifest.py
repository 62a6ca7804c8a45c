"""Frozen into the firmware: the agent must come from the image itself, as both slots share the file system.

`make BOARD=... FROZEN_MANIFEST=.../firmware/manifest.py` in MicroPython's ports/esp32.
"""

include("$(PORT_DIR)/boards/manifest.py")
package("otaspec", base_path="../bootloader_spec", opt=3)
package("otaagent", base_path=".", opt=3)
module("boot.py", base_path=".")
module("main.py", base_path=".")
