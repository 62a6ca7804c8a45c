"""Codecs 0 and 1: a whole image, plain or compressed (PATCH.md part B, section 2)."""

from . import heatshrink
from .errors import error
from .heatshrink import SECTOR

_PATCH_INVALID = 112
_HEAD = 32


def decode_plain(params: dict, old: object, patch: object, new: object, ram: int) -> object:  # noqa: ARG001
    """The image from its first 32 bytes (`old`: the manifest's payload_head) and the rest (`patch`)."""
    if params or old.size != _HEAD or patch.size != new.size - _HEAD:
        raise error(_PATCH_INVALID, "not an image without its head")
    page = bytearray(SECTOR)
    view = memoryview(page)
    old.readinto(0, view[:_HEAD])
    done = 0
    at = _HEAD
    while done < new.size:
        end = min(SECTOR, new.size - done)
        while at < end:
            n = patch.readinto(view[at:end])
            if not n:
                raise error(_PATCH_INVALID, "truncated")
            at += n
        new.write(view[:end])
        done += end
        at = 0
        yield done


def ram_needed(window: int) -> int:
    """Bytes of data for the decoder with a window of `window` bits: window, sector, source, objects."""
    return (1 << window) + SECTOR + 1024


def decode_heatshrink(params: dict, old: object, patch: object, new: object, ram: int) -> object:  # noqa: ARG001
    """The image that the patch unpacks to."""
    stream = heatshrink.Stream(patch, *heatshrink.settings(params, ram, ram_needed))
    page = bytearray(SECTOR)
    done = 0
    while done < new.size:
        end = min(SECTOR, new.size - done)
        if stream.readinto(page, 0, end) != end:
            raise error(_PATCH_INVALID, "truncated")
        new.write(memoryview(page)[:end])
        done += end
        yield done
    stream.finish()
