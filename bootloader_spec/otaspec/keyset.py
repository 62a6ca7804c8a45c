"""Which keys may sign (PACKAGE.md section 5). How one set follows another: rotation.py."""

from . import cose
from .errors import const, error

_KEY_UNKNOWN = const(103)
_KEY_REVOKED = const(104)


class Key:
    """A signing key: `public` X || Y, the one `product` it may sign for ("" = any), comb `table` or None."""

    def __init__(self, public: bytes, product: str = "", table: object = None) -> None:
        self.public = public
        self.product = product
        self.table = table
        self.kid = cose.kid(public)


class KeySet:
    """Key set number `version`: `threshold` of the `roots` sign the next one. seq_floor: see PACKAGE.md."""

    seq_floor: "int | None" = None

    def __init__(
        self, keys: list, revoked: list = (), roots: list = (), threshold: int = 0, version: int = 0
    ) -> None:
        self.keys = keys
        self.revoked = revoked
        self.roots = roots
        self.threshold = threshold
        self.version = version

    def find(self, kid: bytes) -> Key:
        """The signing key named `kid`; KEY_REVOKED or KEY_UNKNOWN."""
        if kid in self.revoked:
            raise error(_KEY_REVOKED, kid.hex())
        for key in self.keys:
            if key.kid == kid:
                return key
        raise error(_KEY_UNKNOWN, kid.hex())
