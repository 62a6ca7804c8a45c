"""Payload in, image out: the decoder of each codec (PATCH.md).

A module is loaded when its codec is used, so that a board holds one decoder at a time.
"""

_CODEC_UNKNOWN = 114

CODECS = (0, 1, 2, 3)


def decode(
    codec: int, params: dict, old: object, patch: object, new: object, ram: int, start: int = 0
) -> object:
    """Rebuilds NEW; a generator that yields the bytes written so far after each sector.

    old: .size, .readinto(offset, buf), the running image; codec 0: the manifest's payload_head.
    patch: .size, .readinto(buf) -> n, in order, 0 at the end; its hash was checked before.
    new: .size, .write(buf) with one sector (4096 bytes, the last one shorter) after the other, and
    .readinto(offset, buf) for what was written.
    ram: bytes that the decoder's data may take. start: codec 3 only, see address.decode.
    Raises PatchError, CODEC_UNKNOWN.
    """
    if codec == 0:
        from .full import decode_plain as run
    elif codec == 1:
        from .full import decode_heatshrink as run
    elif codec == 2:
        from .bsdiff import decode as run
    elif codec == 3:
        from .address import decode

        return decode(params, old, patch, new, ram, start)
    else:
        from .errors import error  # late: a decoder that works does without the table

        raise error(_CODEC_UNKNOWN, "%d" % codec)
    return run(params, old, patch, new, ram)
