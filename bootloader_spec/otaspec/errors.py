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

# number: (name, coarse, reaction)
TABLE = {
    # 1xx the package: whoever made or altered it
    101: ("CBOR_MALFORMED", -3, COUNT),
    102: ("SIGNATURE_WRONG", -3, COUNT),
    103: ("KEY_UNKNOWN", -3, COUNT),
    104: ("KEY_REVOKED", -3, COUNT),
    105: ("NEEDS_NEWER_AGENT", -3, COUNT),
    106: ("MANIFEST_TOO_LARGE", -3, COUNT),
    107: ("MANIFEST_INVALID", -3, COUNT),
    108: ("PACKAGE_TRUNCATED", -3, COUNT),
    109: ("PACKAGE_TRAILING_BYTES", -3, COUNT),
    110: ("PAYLOAD_HASH_WRONG", -3, COUNT),
    111: ("IMAGE_HASH_WRONG", -3, COUNT),
    112: ("PATCH_INVALID", -3, COUNT),
    113: ("PATCH_NEEDS_MORE_RAM", -3, COUNT),
    114: ("CODEC_UNKNOWN", -3, COUNT),
    115: ("CHUNK_HASH_WRONG", -3, COUNT),
    116: ("KEY_SET_INVALID", -3, COUNT),
    117: ("KEY_SET_ROLLBACK", -3, COUNT),
    118: ("PACKAGE_MAGIC_WRONG", -3, COUNT),
    # 2xx the target: a sound package that is not for this board, or not now
    201: ("PRODUCT_WRONG", -3, COUNT),
    202: ("BOARD_WRONG", -3, COUNT),
    203: ("CHIP_WRONG", -3, COUNT),
    204: ("DEVICE_WRONG", -3, COUNT),
    205: ("BASE_WRONG", -3, COUNT),
    206: ("SEQ_TOO_OLD", -3, COUNT),
    207: ("SEQ_JUMP_TOO_FAR", -3, COUNT),
    208: ("SECURE_VERSION_TOO_OLD", -3, COUNT),
    209: ("MANIFEST_EXPIRED", -3, COUNT),
    210: ("IMAGE_TOO_LARGE", -3, COUNT),
    211: ("RELEASE_BLOCKLISTED", -3, COUNT),
    212: ("STAGING_TOO_SMALL", -3, COUNT),
    # 3xx the network or the server
    301: ("SERVER_UNREACHABLE", -2, SWITCH),
    302: ("SERVER_TIMEOUT", -2, SWITCH),
    303: ("TLS_REFUSED", -2, SWITCH),
    304: ("HTTP_STATUS", -2, SWITCH),
    305: ("ANSWER_INVALID", -2, SWITCH),
    306: ("DOWNLOAD_TOO_SLOW", -2, SWITCH),
    307: ("PACKAGE_CHANGED", -2, SWITCH),
    308: ("LOGIN_REFUSED", -2, SWITCH),
    309: ("APPROVAL_PENDING", -2, IGNORE),
    310: ("ANSWER_MAC_WRONG", -2, SWITCH),
    311: ("PLAIN_HTTP_REFUSED", -2, SWITCH),
    312: ("SERVER_BUSY", -2, IGNORE),
    313: ("ALREADY_REGISTERED", -2, SWITCH),
    # 4xx this board
    401: ("FLASH_ERASE_FAILED", -4, COUNT),
    402: ("FLASH_WRITE_FAILED", -4, COUNT),
    403: ("FLASH_READ_BACK_WRONG", -4, COUNT),
    404: ("NVS_FAILED", -4, COUNT),
    405: ("NO_SECOND_SLOT", -4, COUNT),
    406: ("ARM_FAILED", -4, COUNT),
    407: ("OUT_OF_MEMORY", -1, COUNT),
    408: ("CONFIRM_FAILED", -4, COUNT),
    409: ("OTADATA_UNSAFE", -4, COUNT),
    # 5xx the new release, on trial
    501: ("SELF_TEST_FAILED", -1, COUNT),
    502: ("TRIAL_WATCHDOG", -1, COUNT),
    503: ("TRIAL_CRASHED", -1, COUNT),
    504: ("TRIAL_NO_SERVER", -1, IGNORE),
    505: ("TRIAL_POWER_LOST", -1, IGNORE),
    506: ("TRIAL_NOT_BOOTABLE", -1, COUNT),
    # 6xx what a user gave a tool
    601: ("IMAGE_COMBINED", -3, COUNT),
    602: ("IMAGE_RAW", -3, COUNT),
    603: ("IMAGE_TRUNCATED", -3, COUNT),
    604: ("IMAGE_CHECKSUM_WRONG", -3, COUNT),
    605: ("IMAGE_INVALID", -3, COUNT),
    606: ("CHIP_MISMATCH", -3, COUNT),
    607: ("NO_BOARD_FITS", -3, COUNT),
    608: ("VERSION_EXISTS", -1, COUNT),
    609: ("TABLE_INVALID", -3, COUNT),
    610: ("FILE_UNREADABLE", -1, COUNT),
    611: ("NOT_FOUND", -1, COUNT),
    612: ("RUNTIME_MISSING", -1, COUNT),
    613: ("REQUEST_INVALID", -1, COUNT),
    614: ("TOKEN_INVALID", -1, COUNT),
    615: ("NOT_ALLOWED", -1, COUNT),
    616: ("NAME_EXISTS", -1, COUNT),
    617: ("STATE_CONFLICT", -1, COUNT),
    618: ("REQUEST_TOO_LARGE", -1, COUNT),
    619: ("INTERNAL_ERROR", -1, COUNT),
    620: ("JOB_FAILED", -1, COUNT),
    621: ("BOARD_INVALID", -1, COUNT),
    622: ("KEY_INVALID", -1, COUNT),
    # 7xx put off
    701: ("DEFERRED_BY_APPLICATION", -1, IGNORE),
    702: ("DEFERRED_BY_WINDOW", -1, IGNORE),
    703: ("DEFERRED_BY_DATA_BUDGET", -1, IGNORE),
}


class OtaError(Exception):
    """Base. `code` is a key of TABLE; `evidence` a short text for the log (at most 120 characters)."""

    def __init__(self, code: int, evidence: str = "") -> None:
        super().__init__(code, evidence)
        self.code = code
        self.evidence = evidence

    @property
    def name(self) -> str:
        return TABLE[self.code][0]

    @property
    def coarse(self) -> int:
        return TABLE[self.code][1]

    @property
    def reaction(self) -> int:
        return TABLE[self.code][2]

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
        if TABLE[number][0] == name:
            return number
    raise KeyError(name)
