"""Runs the golden vectors against otaspec, on CPython and on MicroPython: `python check.py FOLDER [NAME...]`.

Prints each row that fails; exit status 1 if any did.
"""

import hashlib
import json
import sys

import check_boot
from otaspec import bundle, cbor, comb, keyset, mac, manifest, mqtt, p256, patch, rotation, verify
from otaspec.errors import OtaError

unhex = bytes.fromhex


def outcome(function, *args) -> str:
    """The name of the error that `function` ends in, "" for none."""
    try:
        function(*args)
    except OtaError as error:
        return error.name
    return ""


def as_json(value):
    if isinstance(value, bytes):
        return {"bytes": value.hex() if value else ""}  # MicroPython's b"".hex() is b""
    if isinstance(value, dict):
        return {"map": [[k, as_json(value[k])] for k in sorted(value, key=cbor.encode)]}
    if isinstance(value, cbor.Tag):
        return {"tag": value.number, "value": as_json(value.value)}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return value


def check_cbor(data):
    for row in data["accept"]:
        raw = unhex(row["hex"])
        value = cbor.decode(raw)
        yield row["hex"], as_json(value) == row["value"] and cbor.encode(value) == raw
    for row in data["refuse"]:
        yield row["why"], outcome(cbor.decode, unhex(row["hex"])) == "CBOR_MALFORMED"


def check_p256(data):
    table = public = None
    for row in data:
        key, digest, signature = unhex(row["public"]), unhex(row["digest"]), unhex(row["signature"])
        yield row["why"], p256.verify(key, digest, signature) is row["ok"]
        if len(key) != 64 or not p256.point(key):
            continue
        if key != public:
            public, table = key, comb.make_table(key)
        yield row["why"] + ", with a table", p256.verify(key, digest, signature, table) is row["ok"]


def check_mac(data):
    for row in data["hmac"]:
        yield "hmac", mac.hmac(unhex(row["key"]), unhex(row["data"])).hex() == row["mac"]
    secret, nonce = unhex(data["secret"]), unhex(data["device_nonce"])
    for name in data["keys"]:
        yield name, getattr(mac, name + "_key")(secret).hex() == data["keys"][name]
    who = secret, data["pk"], data["dn"]
    for name in ("register", "login"):
        yield name, getattr(mac, name)(*who, data["server_nonce"], nonce).hex() == data[name]
    found = mac.answer(*who, nonce, unhex(data["body"]))
    yield "answer", mac.equal(found, unhex(data["answer"]))
    yield "unequal", not mac.equal(found, unhex(data["login"])) and not mac.equal(found, found[:31])


def check_mqtt(data):
    for row in data["log_in"]:
        pk, dn = row["pk"], row["dn"]
        found = mqtt.client_id(pk, dn, row["secure"]), mqtt.username(pk, dn)
        found += (mqtt.password(unhex(row["ds"]), pk, dn),)
        yield dn, found == (row["client_id"], row["username"], row["password"])
        yield dn + ", packet", mqtt.connect(*found) == unhex(row["connect"])
    row, other = data["log_in"][0], data["other"]
    found = mqtt.password(unhex(row["ds"]), row["pk"], row["dn"], other["cid"], other["timestamp"])
    yield "another cid and time", found == other["password"]
    topic, body = data["topic"], unhex(data["body"])
    yield "topic", mqtt.topic("upgrade", "pk-1", "board_0.7") == topic
    for row in data["packets"]:
        if row["call"] == "publish":
            found = mqtt.publish(topic, body + b" " * (row["size"] - len(body)), row["id"])
        elif row["call"] == "subscribe":
            found = mqtt.subscribe(row["id"], topic, row["qos"])
        else:
            found = mqtt.puback(row["id"])
        yield row["call"], found == unhex(row["packet"])


def check_manifest(data):
    for row in data["accept"]:
        yield "fields", same_fields(manifest.decode(unhex(row["payload"])), row["fields"])
    for row in data["refuse"]:
        yield row["why"], outcome(manifest.decode, unhex(row["payload"])) == row["error"]
    keys = keyset.KeySet([keyset.Key(unhex(data["public"]))])
    for row in data["packages"]:
        found = verify.open_package(unhex(row["head"]), keys)
        yield "package", same_fields(found, row["fields"]) and found.digest.hex() == row["digest"]


def same_fields(found, fields) -> bool:
    for name in fields:
        value = getattr(found, name)
        if isinstance(value, bytes):
            value = value.hex()
        if isinstance(value, dict):
            value = [[k, value[k]] for k in sorted(value)]
        if value != fields[name]:
            return False
    return True


def check_keyset(data):
    first = rotation.decode(unhex(data["first"]))
    yield "encode", rotation.encode(first) == unhex(data["first"])
    for row in data["steps"]:
        yield row["why"], outcome(rotation.step, first, unhex(row["signed"])) == row["error"]
    for kid, error in data["find"]:
        yield "find " + kid, outcome(first.find, unhex(kid)) == error


class Bytes:
    """OLD, patch and NEW as a decoder sees them, in memory; NEW must come in whole sectors."""

    def __init__(self, data: bytes, size: int = -1) -> None:
        self.data = bytearray(data)
        self.size = len(data) if size < 0 else size
        self.at = 0

    def readinto(self, *args) -> int:
        at, buf = args if len(args) == 2 else (self.at, args[0])
        n = min(len(buf), len(self.data) - at)
        if len(args) == 2 and n != len(buf):
            raise ValueError("read beyond the end")
        buf[:n] = self.data[at : at + n]
        self.at = at + n
        return n

    def write(self, data: bytes) -> None:
        if len(self.data) % 4096 or len(data) != min(4096, self.size - len(self.data)):
            raise ValueError("not a sector")
        self.data.extend(data)


def run_patch(row: dict, old: bytes) -> str:
    new = Bytes(b"", row["new_size"])
    params = {key: value for key, value in row["params"]}  # noqa: C416 - MicroPython's dict takes no lists
    for done in patch.decode(row["codec"], params, Bytes(old), Bytes(unhex(row["patch"])), new, row["ram"]):
        if done != len(new.data):
            return "wrong progress"
    return "" if hashlib.sha256(new.data).digest() == unhex(row["new_sha256"]) else "wrong bytes"


def check_patches(data):
    for row in data["rows"]:
        try:
            found = run_patch(row, unhex(row["old"] or data["old"]))
        except OtaError as error:
            found = error.name
        yield row["why"] + ": " + found, found == row["error"]


def check_bundle(data):
    def found(raw):
        def read(at, buffer):
            buffer[:] = raw[at : at + len(buffer)]

        return [[name, at, size] for name, at, size in bundle.files_of(read, len(raw))]

    for row in data["accept"]:
        raw = unhex(row["bundle"])
        yield row["bundle"][:40], found(raw) == row["files"]
        files = {name: raw[at : at + size] for name, at, size in row["files"]}
        yield "build", bundle.build(files) == raw
    for row in data["refuse"]:
        yield row["why"], outcome(found, unhex(row["bundle"])) == "BUNDLE_INVALID"


CHECKS = {
    "address": check_patches,
    "bsdiff": check_patches,
    "bundle": check_bundle,
    "cbor": check_cbor,
    "keyset": check_keyset,
    "mac": check_mac,
    "manifest": check_manifest,
    "mqtt": check_mqtt,
    "p256": check_p256,
}
CHECKS.update(check_boot.CHECKS)


def main(folder: str, names: list) -> int:
    rows = failures = 0
    for name in names or sorted(CHECKS):
        with open(folder + "/" + name + ".json") as file:  # noqa: PTH123 - MicroPython has no pathlib
            data = json.load(file)
        for what, ok in CHECKS[name](data):
            rows += 1
            if not ok:
                failures += 1
                print("FAILED", name, what)
    print(rows, "vectors,", failures, "failed")
    return 1 if failures or not rows else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
