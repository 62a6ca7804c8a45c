"""What a worker process does: makes one package. It shares nothing with the service."""

import os
import threading
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key


@dataclass(frozen=True)
class Work:
    """Everything a package depends on. `base` None: the full package."""

    base: bytes | None
    target: bytes
    options: dict[str, Any]  # product, board, chip, version, seq
    private_der: bytes
    bundle: bytes = b""


@dataclass(frozen=True)
class Made:
    package: bytes
    facts: dict[str, Any]


def start() -> None:
    """Ends this process with its service, also when that was killed."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()


def _die_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def make(work: Work) -> Made:
    """The signed package: made, verified and applied by the device's own decoder before it comes back."""
    from otaboards import loader
    from otadiff.build import build_package
    from otadiff.sign import Signer

    private = load_der_private_key(work.private_der, None)
    assert isinstance(private, EllipticCurvePrivateKey)
    options = work.options
    made = build_package(
        work.base,
        work.target,
        board=loader.load(options["board"]),
        product=options["product"],
        version=options["version"],
        seq=options["seq"],
        signer=Signer(private),
        # Every board can take the plain image, whatever it decodes: the full package is the way out.
        codecs=() if work.base is not None else ("image",),
        bundle=work.bundle,
    )
    manifest = made.manifest
    # A plain image and blocks stream into the slot; of a bundle alone there is nothing to stage.
    streams = manifest.payload_codec in (0, 4) or manifest.payload_chunk_size
    staging = 0 if streams else manifest.payload_size
    needs = {
        "payload_size": manifest.payload_size,
        "codec": manifest.payload_codec,
        "ram": manifest.payload_ram,
        "staging": staging,
    }
    return Made(made.data, made.facts() | needs)
