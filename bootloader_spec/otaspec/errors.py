"""Every error that a board or a tool can report: one table of stable numbers and names.

A class says whose fault it is; the number says what happened. Numbers are never reused.
Causes and remedies are in remedies.py, which stays on the host: a board sends the number.
"""

# Aliyun's coarse codes, reported beside ours.
UPGRADE_FAILED = -1
DOWNLOAD_FAILED = -2
VERIFICATION_FAILED = -3
WRITE_FAILED = -4

# What the agent and a rollout make of an error.
SWITCH = 0  # try another source, then later: nobody's release is to blame
COUNT = 1  # a failure of this release on this board: counts towards a rollout's gate
IGNORE = 2  # put off, not failed

# number: name
TABLE = {
    # 1xx the package: whoever made or altered it
    101: "CBOR_MALFORMED",
    102: "SIGNATURE_WRONG",
    103: "KEY_UNKNOWN",
    104: "KEY_REVOKED",
    105: "NEEDS_NEWER_AGENT",
    106: "MANIFEST_TOO_LARGE",
    107: "MANIFEST_INVALID",
    108: "PACKAGE_TRUNCATED",
    109: "PACKAGE_TRAILING_BYTES",
    110: "PAYLOAD_HASH_WRONG",
    111: "IMAGE_HASH_WRONG",
    112: "PATCH_INVALID",
    113: "PATCH_NEEDS_MORE_RAM",
    114: "CODEC_UNKNOWN",
    115: "CHUNK_HASH_WRONG",
    116: "KEY_SET_INVALID",
    117: "KEY_SET_ROLLBACK",
    118: "PACKAGE_MAGIC_WRONG",
    # 2xx the target: a sound package that is not for this board, or not now
    201: "PRODUCT_WRONG",
    202: "BOARD_WRONG",
    203: "CHIP_WRONG",
    204: "DEVICE_WRONG",
    205: "BASE_WRONG",
    206: "SEQ_TOO_OLD",
    207: "SEQ_JUMP_TOO_FAR",
    208: "SECURE_VERSION_TOO_OLD",
    209: "MANIFEST_EXPIRED",
    210: "IMAGE_TOO_LARGE",
    211: "RELEASE_BLOCKLISTED",
    212: "STAGING_TOO_SMALL",
    # 3xx the network or the server
    301: "SERVER_UNREACHABLE",
    302: "SERVER_TIMEOUT",
    303: "TLS_REFUSED",
    304: "HTTP_STATUS",
    305: "ANSWER_INVALID",
    306: "DOWNLOAD_TOO_SLOW",
    307: "PACKAGE_CHANGED",
    308: "LOGIN_REFUSED",
    309: "APPROVAL_PENDING",
    310: "ANSWER_MAC_WRONG",
    311: "PLAIN_HTTP_REFUSED",
    312: "SERVER_BUSY",
    313: "ALREADY_REGISTERED",
    # 4xx this board
    401: "FLASH_ERASE_FAILED",
    402: "FLASH_WRITE_FAILED",
    403: "FLASH_READ_BACK_WRONG",
    404: "NVS_FAILED",
    405: "NO_SECOND_SLOT",
    406: "ARM_FAILED",
    407: "OUT_OF_MEMORY",
    408: "CONFIRM_FAILED",
    409: "OTADATA_UNSAFE",
    # 5xx the new release, on trial
    501: "SELF_TEST_FAILED",
    502: "TRIAL_WATCHDOG",
    503: "TRIAL_CRASHED",
    504: "TRIAL_NO_SERVER",
    505: "TRIAL_POWER_LOST",
    506: "TRIAL_NOT_BOOTABLE",
    # 6xx what a user gave a tool
    601: "IMAGE_COMBINED",
    602: "IMAGE_RAW",
    603: "IMAGE_TRUNCATED",
    604: "IMAGE_CHECKSUM_WRONG",
    605: "IMAGE_INVALID",
    606: "CHIP_MISMATCH",
    607: "NO_BOARD_FITS",
    608: "VERSION_EXISTS",
    609: "TABLE_INVALID",
    610: "FILE_UNREADABLE",
    611: "NOT_FOUND",
    612: "RUNTIME_MISSING",
    613: "REQUEST_INVALID",
    614: "TOKEN_INVALID",
    615: "NOT_ALLOWED",
    616: "NAME_EXISTS",
    617: "STATE_CONFLICT",
    618: "REQUEST_TOO_LARGE",
    619: "INTERNAL_ERROR",
    620: "JOB_FAILED",
    621: "BOARD_INVALID",
    622: "KEY_INVALID",
    # 7xx put off
    701: "DEFERRED_BY_APPLICATION",
    702: "DEFERRED_BY_WINDOW",
    703: "DEFERRED_BY_DATA_BUDGET",
}

# By the hundreds, and what differs from them.
_COARSE = (-3, -3, -2, -4, -1, -1, -1)
_COARSE_OF = {407: -1, 601: -3, 602: -3, 603: -3, 604: -3, 605: -3, 606: -3, 607: -3, 609: -3}
_REACTION = (COUNT, COUNT, SWITCH, COUNT, COUNT, COUNT, IGNORE)
_IGNORED = (309, 312, 504, 505)


def coarse(code: int) -> int:
    """Aliyun's code above `code`."""
    return _COARSE_OF.get(code, _COARSE[code // 100 - 1])


def reaction(code: int) -> int:
    """What the agent and a rollout make of `code`."""
    return IGNORE if code in _IGNORED else _REACTION[code // 100 - 1]


class OtaError(Exception):
    """Base. `code` is a key of TABLE; `evidence` a short text for the log (at most 120 characters)."""

    def __init__(self, code: int, evidence: str = "") -> None:
        super().__init__(code, evidence)
        self.code = code
        self.evidence = evidence

    @property
    def name(self) -> str:
        return TABLE[self.code]

    @property
    def coarse(self) -> int:
        return coarse(self.code)

    @property
    def reaction(self) -> int:
        return reaction(self.code)

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


def code(name: str) -> int:
    """The number of `name`; KeyError if there is none."""
    for number in TABLE:
        if TABLE[number] == name:
            return number
    raise KeyError(name)
