"""Stand-in for MicroPython's `network` module: a station that is connected while the network is on."""

import machine
from _board import here, layout

STA_IF, AP_IF = 0, 1
STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP = 1000, 1001, 1010


class WLAN:
    """Connects at once to any network; the host's sockets do the rest."""

    IF_STA, IF_AP = STA_IF, AP_IF

    def __init__(self, interface: int = STA_IF) -> None:
        self._active = False
        self._joined = False

    def active(self, on=None):
        if on is None:
            return self._active
        self._active = bool(on)
        return self._active

    def connect(self, ssid=None, key=None, bssid=None, reconnects: int = -1) -> None:
        if not self._active:
            raise OSError("Wifi Not Started")
        self._joined = True

    def disconnect(self) -> None:
        self._joined = False

    def isconnected(self) -> bool:
        return self._active and self._joined and not here.rtc[layout.W_NETWORK_OFF]

    def status(self, what=None):
        if what == "rssi":
            return -50
        if self.isconnected():
            return STAT_GOT_IP
        return STAT_CONNECTING if self._joined else STAT_IDLE

    def ifconfig(self) -> tuple:
        address = "127.0.0.1" if self.isconnected() else "0.0.0.0"
        return (address, "255.0.0.0", address, address)

    def config(self, what=None, **settings):
        if what == "mac":
            return machine.unique_id()
        return None

    def scan(self) -> list:
        return []
