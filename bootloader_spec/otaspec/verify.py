"""Is this package sound, and is it for this board? Pure decisions, in the order of PACKAGE.md section 4.

open_package is the cryptography, check the policy, Payload the bytes that follow.
"""

from . import cose
from . import manifest as manifests
from .errors import const, error
from .manifest import Manifest

_KEY_UNKNOWN = const(103)
_NEEDS_NEWER_AGENT = const(105)
_PACKAGE_TRUNCATED = const(108)
_PACKAGE_TRAILING_BYTES = const(109)
_PAYLOAD_HASH_WRONG = const(110)
_PATCH_NEEDS_MORE_RAM = const(113)
_CODEC_UNKNOWN = const(114)
_PRODUCT_WRONG = const(201)
_BOARD_WRONG = const(202)
_CHIP_WRONG = const(203)
_DEVICE_WRONG = const(204)
_BASE_WRONG = const(205)
_SEQ_TOO_OLD = const(206)
_SEQ_JUMP_TOO_FAR = const(207)
_SECURE_VERSION_TOO_OLD = const(208)
_MANIFEST_EXPIRED = const(209)
_IMAGE_TOO_LARGE = const(210)
_RELEASE_BLOCKLISTED = const(211)
_STAGING_TOO_SMALL = const(212)

MAX_JUMP = 4096  # in seq: a stolen key cannot use up the numbers at once


class Board:
    """What the checks need to know of a board. The values below are the most permissive ones.

    Always needed: product, board (ids), chip (ESP chip id), slot_size, ram (bytes the decoder may have)
    and staging (bytes a payload may take).
    """

    device = ""
    agent = 0  # API level
    seq_floor = 0
    open_digest = None  # manifest digest of the open session
    secure_version = 0
    time = None  # UNIX seconds by a trusted clock
    running_size = 0  # of the running image
    running_sha256 = b""
    codecs = (0, 1, 2, 3)
    chunks = False  # the agent decodes a payload chunk by chunk, without staging it
    blocklist = ()  # (image SHA-256, seq) pairs

    def __init__(self, **facts) -> None:
        for name in facts:
            setattr(self, name, facts[name])


def open_package(head: bytes, keys: object) -> Manifest:
    """The Manifest in the first 8 + M bytes of a package, once its signature has been verified.

    `keys.find(kid)` returns a keyset.Key or raises KEY_UNKNOWN or KEY_REVOKED.
    """
    for manifest in open_steps(head, keys):
        pass
    return manifest


def open_steps(head: bytes, keys: object) -> object:
    """As open_package, in small steps for those who have others to run: yields None, at last the Manifest."""
    size = manifests.size_of(head[: manifests.HEAD_SIZE])
    end = manifests.HEAD_SIZE + size
    if len(head) < end:
        raise error(_PACKAGE_TRUNCATED, "%d bytes of the manifest's %d" % (len(head), end))
    signed = cose.split(memoryview(head)[manifests.HEAD_SIZE : end])
    key = keys.find(signed.kid)
    for _ in signed.steps(key.public, key.table):
        yield None
    manifest = manifests.decode(signed.payload)
    if key.product and key.product != manifest.product:
        raise error(_KEY_UNKNOWN, "a key of product " + key.product)
    manifest.digest = signed.digest
    manifest.payload_offset = end + manifest.bundle_size
    yield manifest


def check(manifest: Manifest, board: Board) -> None:
    """Returns if `board` may install `manifest`; else raises what stands against it, cheapest first."""
    for step in (_check_target, _check_order, _check_image, _check_payload):
        step(manifest, board)


def _check_target(m: Manifest, board: Board) -> None:
    if m.product != board.product:
        raise error(_PRODUCT_WRONG, "%s, this is %s" % (m.product, board.product))
    if m.board != board.board:
        raise error(_BOARD_WRONG, "%s, this is %s" % (m.board, board.board))
    if m.device and m.device != board.device:
        raise error(_DEVICE_WRONG, "%s, this is %s" % (m.device, board.device))
    if m.chip != board.chip:
        raise error(_CHIP_WRONG, "%d, this is %d" % (m.chip, board.chip))
    if m.min_agent > board.agent:
        raise error(_NEEDS_NEWER_AGENT, "level %d, this is %d" % (m.min_agent, board.agent))


def _check_order(m: Manifest, board: Board) -> None:
    is_open = board.open_digest and m.digest == board.open_digest
    if m.seq <= board.seq_floor and not is_open:
        raise error(_SEQ_TOO_OLD, "%d, floor %d" % (m.seq, board.seq_floor))
    if m.seq > board.seq_floor + MAX_JUMP:
        raise error(_SEQ_JUMP_TOO_FAR, "%d, floor %d" % (m.seq, board.seq_floor))
    if (m.image_sha256, m.seq) in board.blocklist:
        raise error(_RELEASE_BLOCKLISTED, "seq %d" % m.seq)
    if m.secure_version < board.secure_version:
        raise error(_SECURE_VERSION_TOO_OLD, "%d, this is %d" % (m.secure_version, board.secure_version))
    if m.not_after and board.time is not None and board.time > m.not_after:
        raise error(_MANIFEST_EXPIRED, "%d, now %d" % (m.not_after, board.time))


def _check_image(m: Manifest, board: Board) -> None:
    if m.image_size > board.slot_size:
        raise error(_IMAGE_TOO_LARGE, "%d, slot %d" % (m.image_size, board.slot_size))
    if m.base_size and (m.base_size, m.base_sha256) != (board.running_size, board.running_sha256):
        raise error(_BASE_WRONG, "%d bytes, this runs %d" % (m.base_size, board.running_size))


def _check_payload(m: Manifest, board: Board) -> None:
    if m.payload_codec not in board.codecs:
        raise error(_CODEC_UNKNOWN, "%d" % m.payload_codec)
    if m.payload_ram > board.ram:
        raise error(_PATCH_NEEDS_MORE_RAM, "%d, this gives %d" % (m.payload_ram, board.ram))
    # A plain image streams into the slot; blocks may be decoded while their chunks come. Else it is staged.
    streams = m.payload_codec == manifests.IMAGE
    if m.payload_codec == manifests.ADDRESS and m.payload_chunk_size:
        streams = board.chunks
    if not streams and m.payload_size > board.staging:
        raise error(_STAGING_TOO_SMALL, "%d, this has %d" % (m.payload_size, board.staging))


try:
    from .payload import Payload as Payload  # for tools: a board hashes what it has staged
except ImportError:
    pass
