"""What is this file? In words for people, as facts for JSON. Nothing here trusts the file."""

import hashlib
from collections.abc import Sequence

from otaspec import image, image_file, otadata, partition
from otaspec import manifest as manifests
from otaspec.errors import OtaError

from otadiff import inspect_flash
from otadiff.build import reader
from otadiff.inspect_image import Found, app_image, combined, table
from otadiff.inspect_package import package


def inspect(data: bytes, publics: Sequence[bytes] = ()) -> Found:
    """Explains a package, an app image, a combined image, a partition table, otadata or a flash file.

    publics: keys that a package's signature is checked with; without any it is only said whose it is.
    """
    if data[:4] == manifests.MAGIC:
        return package(data, publics)
    if data[:2] == partition.MAGIC:
        return table(data)
    if inspect_flash.is_flash(data):
        return inspect_flash.flash(data)
    if len(data) == 2 * otadata.SECTOR and otadata.active(inspect_flash.entries(data)) >= 0:
        return Found("otadata", inspect_flash.otadata_lines(inspect_flash.entries(data), 2))
    return _image_or_not(data)


def _image_or_not(data: bytes) -> Found:
    try:
        image_file.check(reader(data), len(data))
    except OtaError as problem:
        app = image_file.find_app(reader(data), len(data))
        if app is not None:
            return combined(data, app, problem)
        if data[:1] != bytes([image.MAGIC]):
            return _unknown(data, problem)
        return app_image(data, problem)
    return app_image(data)


def _unknown(data: bytes, problem: OtaError) -> Found:
    sha256 = hashlib.sha256(data).hexdigest()
    lines = [f"No ESP image, package, table or flash, {len(data):,} bytes", f"SHA-256  {sha256}"]
    return Found("unknown", lines, {"size": len(data), "sha256": sha256}, problem)
