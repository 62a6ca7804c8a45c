"""Every error that a board or a tool can report, by its stable number. The table of them: names.py.

A class says whose fault it is; the number says what happened. Numbers are never reused.
Causes and remedies are in remedies.py, which stays on the host: a board sends the number.
"""

try:
    from .names import TABLE as TABLE
    from .names import code as code
except ImportError:  # a small board: its log has numbers
    TABLE = {}

# Aliyun's coarse codes, reported beside ours: -1 the update, -2 the download, -3 the verification, -4 the
# flash failed. By the hundreds, and what differs from them.
_COARSE = (-3, -3, -2, -4, -1, -1, -1)
_COARSE_OF = {
    214: -4,
    407: -1,
    410: -1,
    601: -3,
    602: -3,
    603: -3,
    604: -3,
    605: -3,
    606: -3,
    607: -3,
    609: -3,
}


def coarse(code: int) -> int:
    """Aliyun's code above `code`."""
    return _COARSE_OF.get(code, _COARSE[code // 100 - 1])


class OtaError(Exception):
    """Base. `code` is a key of TABLE; `evidence` a short text for the log (at most 120 characters)."""

    def __init__(self, code: int, evidence: str = "") -> None:
        super().__init__(code, evidence)
        self.code = code
        self.evidence = evidence

    @property
    def name(self) -> str:
        return TABLE.get(self.code) or "E%d" % self.code

    @property
    def coarse(self) -> int:
        return coarse(self.code)

    def __str__(self) -> str:
        return self.name + (": " + self.evidence if self.evidence else "")


class PackageError(OtaError):
    """The package is not what its maker must have meant: 1xx."""


class PatchError(PackageError):
    """A patch that no encoder of ours makes, or that asks for more than it may: 112, 113."""


class TargetError(OtaError):
    """A sound package, but not for this board: 2xx."""


class ServerError(OtaError):
    """The network or the server: 3xx."""

    wait = 0  # s that a busy server asked for


class BoardError(OtaError):
    """This board's flash, memory or slots: 4xx."""


class TrialError(OtaError):
    """The new release failed its trial: 5xx."""


class InputError(OtaError):
    """What a user gave a tool: 6xx."""


class Deferred(OtaError):  # noqa: N818 - put off, not failed
    """Put off by the application, a window or a budget: 7xx."""


_CLASSES = (PackageError, TargetError, ServerError, BoardError, TrialError, InputError, Deferred)


def error(code: int, evidence: str = "") -> OtaError:
    """The exception for `code`, of the class its hundreds digit names (112 and 113: PatchError)."""
    if code in (112, 113):
        return PatchError(code, evidence)
    return _CLASSES[code // 100 - 1](code, evidence)


def const(value: int) -> int:
    """What MicroPython's compiler takes for itself: `_NAME = const(1)` costs a board nothing."""
    return value
