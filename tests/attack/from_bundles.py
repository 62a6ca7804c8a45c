"""Attacks by an application's bundle: signed or not, nothing of it is unpacked and no slot is touched."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from otaspec import bundle, components
from otaspec import manifest as manifests

from tests.attack import forge
from tests.attack.bench import NEW, OLD, fields, signed
from tests.attack.cases import Case, flip

_VECTORS = Path(__file__).parents[2] / "bootloader_spec" / "vectors" / "bundle.json"
_APP = bundle.build({"app.py": b"async def main(agent):\n    pass\n", "words.bin": bytes(6000)})
_ROW = "an application's bundle"


def bundled(raw: bytes, sent: bytes | None = None, new: bytes = NEW, **change: Any) -> bytes:
    """A package with image and bundle; `sent` instead of the bundle that was signed."""
    about = components.bundle("app", len(raw), hashlib.sha256(raw).digest())
    payload = change.get("data", new[manifests.IMAGE_HEAD :])
    head = signed(manifests.encode(manifests.Manifest(**fields(new, components=about, **change))))
    return head + (raw if sent is None else sent) + payload


def alone(raw: bytes, new: bytes = OLD) -> bytes:
    return bundled(raw, new=new, data=b"", payload_codec=manifests.KEPT, payload_head=b"")


def _pairs(**change: Any) -> bytes:
    """A component that no honest tool signs."""
    good = {0: 1, 1: "app", 2: len(_APP), 3: hashlib.sha256(_APP).digest()}
    changed = good | {int(key[1:]): value for key, value in change.items()}
    rest = bundled(_APP)
    return signed(forge.with_pairs(rest, {12: [changed]})) + _APP + NEW[manifests.IMAGE_HEAD :]


def _bundles() -> Iterator[Case]:
    swapped = bundle.build({"app.py": b"import evil", "words.bin": bytes(6000 + 20)})[: len(_APP)]
    rows = (
        (
            "bundle-bit",
            "PAYLOAD_HASH_WRONG",
            "one bit of the bundle is another",
            bundled(_APP, flip(_APP, 700)),
        ),
        (
            "bundle-of-another",
            "PAYLOAD_HASH_WRONG",
            "a signed manifest, another bundle",
            bundled(_APP, swapped),
        ),
        (
            "bundle-missing",
            "PAYLOAD_HASH_WRONG",
            "the payload where the bundle should be",
            bundled(_APP, b""),
        ),
        ("bundle-cut-short", "PACKAGE_TRUNCATED", "the package ends within the bundle", bundled(_APP)[:3000]),
        ("bundle-with-a-tail", "PACKAGE_TRAILING_BYTES", "bytes behind a bundle alone", alone(_APP) + b"x"),
        (
            "bundle-for-another-image",
            "BASE_WRONG",
            "a bundle alone, for an image that does not run",
            alone(_APP, NEW),
        ),
        ("bundle-too-long", "MANIFEST_INVALID", "a bundle of 4 MB and a byte", _pairs(_2=(1 << 22) + 1)),
        ("bundle-of-nothing", "MANIFEST_INVALID", "a bundle of no bytes", _pairs(_2=0)),
        ("component-with-a-new-field", "NEEDS_NEWER_AGENT", "a component with a key 4", _pairs(_4=1)),
    )
    for name, error, what, package in rows:
        yield Case(_ROW, name, error, what, package)
    for row in json.loads(_VECTORS.read_text())["refuse"]:
        raw = bytes.fromhex(row["bundle"])
        if raw:
            name = "archive-" + row["why"].replace(" ", "-").lower()
            yield Case(_ROW, name, "BUNDLE_INVALID", f"signed; the archive: {row['why']}", bundled(raw))


GROUPS = (_bundles,)
