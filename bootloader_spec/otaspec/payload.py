"""The bytes of a package after its manifest, checked as they come. For tools: a board hashes its stage."""

import hashlib

from .errors import const, error

_PACKAGE_TRUNCATED = const(108)
_PACKAGE_TRAILING_BYTES = const(109)
_PAYLOAD_HASH_WRONG = const(110)


class Payload:
    """Checks the bytes after the manifest as they come; holds none of them."""

    def __init__(self, manifest: object) -> None:
        self.left = manifest.payload_size
        self.sha256 = manifest.payload_sha256
        self.state = hashlib.sha256()

    def feed(self, data: bytes) -> None:
        """The next bytes; PACKAGE_TRAILING_BYTES when there are more than the manifest says."""
        self.left -= len(data)
        if self.left < 0:
            raise error(_PACKAGE_TRAILING_BYTES, "%d" % -self.left)
        self.state.update(data)

    def finish(self) -> None:
        """No more bytes will come: PACKAGE_TRUNCATED or PAYLOAD_HASH_WRONG unless all is well."""
        if self.left:
            raise error(_PACKAGE_TRUNCATED, "%d bytes missing" % self.left)
        if self.state.digest() != self.sha256:
            raise error(_PAYLOAD_HASH_WRONG)
