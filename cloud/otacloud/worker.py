"""What a worker process does: makes one package. It shares nothing with the service."""

import os
import threading
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from typing import Any


@dataclass(frozen=True)
class Work:
    """Everything a package depends on. `base` None: the full package."""

    base: bytes | None
    target: bytes
    options: dict[str, Any]  # product, board, chip, version, seq
    private_der: bytes


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
    """The signed package, applied by the device's own decoder before it comes back."""
    raise NotImplementedError
