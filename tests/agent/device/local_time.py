"""Runs on MicroPython: the offset of each [zone, UTC] and the wait of each [window, local] on stdin."""

import json
import sys

from otaagent.localtime import Window, offset

job = json.loads(sys.stdin.readline())
print(json.dumps([offset(zone, utc) for zone, utc in job["offsets"]]))
print(json.dumps([Window(text).opens_in(local) for text, local in job["windows"]]))
for text in job["wrong"]:
    try:
        offset(text, 0)
        Window(text)
    except ValueError:
        print("ValueError")
