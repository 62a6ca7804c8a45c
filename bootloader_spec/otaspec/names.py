"""Names of numbers, for people: errors, chips, states. A board may go without.

TABLE is the one table of error codes: numbers are never reused.
"""

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
    119: "BUNDLE_INVALID",
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
    213: "NOTHING_TO_UNDO",
    214: "BUNDLE_TOO_LARGE",
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
    410: "REFUSED_BY_APPLICATION",
    411: "FILE_SYSTEM_FAILED",
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
    623: "PORT_UNAVAILABLE",
    624: "BOARD_SILENT",
    # 7xx put off
    701: "DEFERRED_BY_APPLICATION",
    702: "DEFERRED_BY_WINDOW",
    703: "DEFERRED_BY_DATA_BUDGET",
}

# What the agent and a rollout make of an error.
SWITCH = 0  # try another source, then later: nobody's release is to blame
COUNT = 1  # a failure of this release on this board: counts towards a rollout's gate
IGNORE = 2  # put off, not failed
_REACTION = (COUNT, COUNT, SWITCH, COUNT, COUNT, COUNT, IGNORE)  # by the hundreds
_IGNORED = (309, 312, 504, 505)


def reaction(code: int) -> int:
    """What the agent and a rollout make of `code`."""
    return IGNORE if code in _IGNORED else _REACTION[code // 100 - 1]


def code(name: str) -> int:
    """The number of `name`; KeyError if there is none."""
    for number in TABLE:
        if TABLE[number] == name:
            return number
    raise KeyError(name)


# ESP chip ids, SLOTS.md section 3
CHIPS = {
    0: "ESP32",
    2: "ESP32-S2",
    5: "ESP32-C3",
    9: "ESP32-S3",
    12: "ESP32-C2",
    13: "ESP32-C6",
    16: "ESP32-H2",
    18: "ESP32-P4",
    20: "ESP32-C61",
    23: "ESP32-C5",
    25: "ESP32-H21",
    28: "ESP32-H4",
    0xFFF0: "LINUX_HOST",
}

# otadata, SLOTS.md section 2
STATE_NAMES = {
    0: "NEW",
    1: "PENDING_VERIFY",
    2: "VALID",
    3: "INVALID",
    4: "ABORTED",
    0xFFFFFFFF: "UNDEFINED",
}

# TRIAL, SLOTS.md section 6
PHASE_NAMES = {1: "READY", 2: "INTENT", 3: "DONE", 4: "REJECTED", 5: "OFFLINE", 6: "REVERTED"}
