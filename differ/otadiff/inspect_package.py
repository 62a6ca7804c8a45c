"""Packages, explained."""

import hashlib
from collections.abc import Sequence
from typing import Any

from otaspec import cose, image, keyset, verify
from otaspec import manifest as manifests
from otaspec.errors import OtaError, code, error
from otaspec.manifest import Manifest

from otadiff import bundles
from otadiff.inspect_image import Found, printable
from otadiff.plan import name_of, params_of


def package(data: bytes, publics: Sequence[bytes]) -> Found:
    try:
        end = manifests.HEAD_SIZE + manifests.size_of(data[: manifests.HEAD_SIZE])
        signed = cose.split(data[manifests.HEAD_SIZE : end])
        m = manifests.decode(signed.payload)
    except OtaError as problem:
        return Found("package", [f"Package of {len(data):,} bytes that no board accepts."], {}, problem)
    wrong = _problem(data, end, m, publics)
    by = "not checked: give --key" if not publics else "not right" if wrong else "checked"
    lines = [f"Package, {len(data):,} bytes: {printable(f'{m.product} {m.version}')}, release {m.seq}"]
    only = f", only device {m.device}" if m.device else ""
    lines += [printable(f"for      {m.board} ({image.chip_name(m.chip)}){only}")]
    lines += [f"makes    {m.image_size:>9,} bytes  {m.image_sha256.hex()[:32]}..."]
    if m.base_size:
        lines += [f"from     {m.base_size:>9,} bytes  {m.base_sha256.hex()[:32]}..."]
    else:
        lines += ["from     nothing: a full image"]
    params = params_of(m.payload_codec, m.payload_params)
    codec = name_of(m.payload_codec) + (f", {params}" if params else "")
    lines += [f"payload  {m.payload_size:>9,} bytes  codec {codec}"]
    if m.bundle_size:
        lines += [f"bundle   {m.bundle_size:>9,} bytes  {m.bundle_sha256.hex()[:32]}..."]
    lines += [f"decoder  {m.payload_ram:>9,} bytes of memory"]
    lines += [f"signed   by key {signed.kid.hex()}, {by}"]
    lines += _conditions(m)
    return Found("package", lines, _facts(data, m, signed.kid, by == "checked"), wrong)


def image_size(data: bytes) -> int:
    """Bytes of the image that a package makes; 0 where it says nothing that can be read."""
    try:
        end = manifests.HEAD_SIZE + manifests.size_of(data[: manifests.HEAD_SIZE])
        return int(manifests.decode(cose.split(data[manifests.HEAD_SIZE : end]).payload).image_size)
    except OtaError:
        return 0


def _conditions(m: Manifest) -> list[str]:
    rows = (
        ("security counter at most %d on the board", m.secure_version),
        ("agent of level %d or later", m.min_agent),
        ("not after UNIX time %d", m.not_after),
        ("payload in chunks of %d bytes", m.payload_chunk_size),
    )
    return ["needs    " + text % value for text, value in rows if value]


def _problem(data: bytes, end: int, m: Manifest, publics: Sequence[bytes]) -> OtaError | None:
    try:
        if publics:
            verify.open_package(data[:end], keyset.KeySet([keyset.Key(public) for public in publics]))
        payload = verify.Payload(m)
        payload.feed(data[end + m.bundle_size :])
        payload.finish()
        if m.bundle_size:
            check_bundle(m, data[end : end + m.bundle_size])
    except OtaError as problem:
        return problem
    return None


def check_bundle(m: Manifest, bundle: bytes) -> None:
    """PAYLOAD_HASH_WRONG or BUNDLE_INVALID."""
    if hashlib.sha256(bundle).digest() != m.bundle_sha256:
        raise error(code("PAYLOAD_HASH_WRONG"), "the bundle's")
    bundles.check(bundle)


def _facts(data: bytes, m: Manifest, kid: bytes, checked: bool) -> dict[str, Any]:
    names = (
        "seq",
        "product",
        "board",
        "chip",
        "version",
        "secure_version",
        "min_agent",
        "not_after",
        "device",
    )
    return {
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        **{name: getattr(m, name) for name in names},
        "image": {"size": m.image_size, "sha256": m.image_sha256.hex()},
        "bundle": {"size": m.bundle_size, "sha256": m.bundle_sha256.hex()} if m.bundle_size else None,
        "base": {"size": m.base_size, "sha256": m.base_sha256.hex()} if m.base_size else None,
        "payload": {
            "size": m.payload_size,
            "sha256": m.payload_sha256.hex(),
            "codec": name_of(m.payload_codec),
            "params": m.payload_params,
            "ram": m.payload_ram,
            "chunk_size": m.payload_chunk_size,
        },
        "kid": kid.hex(),
        "signature_checked": checked,
    }
