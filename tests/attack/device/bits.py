"""Every bit and length of a package over the verifier, as a board runs it. stdin: package, public key (hex).

stdout: for each kind of change the codes it ended with, as {"region code": count}.
"""

import sys
from binascii import unhexlify

from otaspec import comb, keyset, manifest, verify
from otaspec.errors import OtaError

package = bytearray(unhexlify(sys.stdin.readline().strip()))
public = unhexlify(sys.stdin.readline().strip())
keys = keyset.KeySet([keyset.Key(public, "", comb.make_table(public))])
END = manifest.HEAD_SIZE + manifest.size_of(package[:8])
good = verify.open_package(package, keys)


def outcome(data: bytes) -> int:
    """The code that refuses `data`; 0: it was taken."""
    try:
        found = verify.open_package(data, keys)
        payload = verify.Payload(found)
        payload.feed(memoryview(data)[found.payload_offset :])
        payload.finish()
        return 0
    except OtaError as e:
        return e.code


def payload_outcome(data: bytes) -> int:
    """The same where the manifest was not touched, and so is `good`."""
    try:
        payload = verify.Payload(good)
        payload.feed(memoryview(data)[END:])
        payload.finish()
        return 0
    except OtaError as e:
        return e.code


counts = {}


def count(region: str, code: int) -> None:
    key = "%s %d" % (region, code)
    counts[key] = counts.get(key, 0) + 1


count("whole", outcome(package))
for at in range(len(package)):
    region = "magic" if at < 4 else "length" if at < 8 else "manifest" if at < END else "payload"
    for bit in range(8):
        package[at] ^= 1 << bit
        count(region, (outcome if at < END else payload_outcome)(package))
        package[at] ^= 1 << bit
for size in range(len(package)):
    count("end", outcome(package[:size]) if size < END else payload_outcome(package[:size]))
for extra in (1, 7, 4096):
    count("more", outcome(package + bytes(extra)))
for key in counts:
    print(key, counts[key])
