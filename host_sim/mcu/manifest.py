"""Frozen into the emulated microcontroller's firmware: agent and contract as on a real board, and what
it has instead of an ESP32's flash. Executed in its own folder, as MicroPython does.
"""

include("../../firmware/manifest.py")
module("_boot.py", base_path="lib", opt=3)
module("esp32.py", base_path="lib", opt=3)
module("measure.py", base_path="lib", opt=3)
