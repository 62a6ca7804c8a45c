"""Mosquitto's files: who may log in, and to which topics (PROTOCOL.md section 6).

A device's MQTT password never changes while its secret does not, so Mosquitto can keep its hash.
"""

import base64
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from otaspec import mqtt
from otaspec.errors import InputError, code
from sqlalchemy import select

from otacloud.db import Database
from otacloud.models import Device, Product
from otacloud.vault import Vault

ROUNDS = 101  # mosquitto_passwd's own number: the password is 256 random bits


class Files(NamedTuple):
    passwords: str
    acl: str
    devices: int


def line(user: str, password: str) -> str:
    """A line of the password file: PBKDF2-HMAC-SHA512 in Mosquitto's form 7."""
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS)
    return f"{user}:$7${ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def rules(pk: str, dn: str) -> Iterator[str]:
    yield f"user {mqtt.username(pk, dn)}"
    yield f"topic read {mqtt.topic('upgrade', pk, dn)}"
    for kind in ("inform", "progress"):
        yield f"topic write {mqtt.topic(kind, pk, dn)}"


def service(user: str) -> Iterator[str]:
    yield f"user {user}"
    yield f"topic write {mqtt.topic('upgrade', '+', '+')}"
    for kind in ("inform", "progress"):
        yield f"topic read {mqtt.topic(kind, '+', '+')}"


def write(folder: Path, made: Files) -> None:
    """The hashes are for the broker's eyes only."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("passwords", made.passwords), ("acl", made.acl)):
        part = folder / f".{name}"
        part.touch(mode=0o600)
        part.write_text(text)
        part.replace(folder / name)


async def files(db: Database, vault: Vault, user: str, password: str) -> Files:
    """For every device that may log in, and for the service itself under `user`."""
    query = (
        select(Product.pk, Device.dn, Device.ds_sealed)
        .join(Product, Product.id == Device.product_id)
        .where(Device.access == "approved", Device.ds_sealed.is_not(None))
        .order_by(Device.id)
    )
    if not user or not password:
        evidence = "DRIBLET_MQTT_URL names no user and password: mqtts://user:password@host"
        raise InputError(code("REQUEST_INVALID"), evidence)
    passwords, acl = [line(user, password)], list(service(user))
    async with db.read() as session:
        async for pk, dn, sealed in await session.stream(query):
            its = mqtt.password(vault.open(sealed or b"", "ds"), pk, dn)
            passwords.append(line(mqtt.username(pk, dn), its))
            acl += rules(pk, dn)
    return Files(_text(passwords), _text(acl), len(passwords) - 1)


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"
