"""The envelope, as other people's tools see it: cbor2 with cryptography, and openssl alone."""

import re
import subprocess
from pathlib import Path

import cbor2
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from otaspec import cose
from otaspec.errors import OtaError

from tests.spec import packages

PAGE = Path(__file__).parents[2] / "bootloader_spec" / "PACKAGE.md"
SIGNED = packages.package()[8 : -len(packages.PAYLOAD)]


def stock_verify(signed: bytes) -> None:
    """What a COSE library does (RFC 9052 section 4.4)."""
    protected, unprotected, payload, signature = cbor2.loads(signed).value
    assert (cbor2.loads(protected)[1], unprotected) == (-7, {})
    structure = cbor2.dumps(["Signature1", protected, b"", payload])
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    packages.PRIVATE.public_key().verify(der, structure, ec.ECDSA(hashes.SHA256()))


def test_a_stock_library_verifies_it() -> None:
    assert cbor2.loads(SIGNED).tag == 18
    stock_verify(SIGNED)
    with pytest.raises(InvalidSignature):
        stock_verify(SIGNED.replace(b"thermostat", b"thermostad"))


@pytest.mark.parametrize("altered", [False, True])
def test_openssl_verifies_it_with_the_commands_of_the_page(tmp_path: Path, altered: bool) -> None:
    commands = re.search(r"```sh\n(.*?)```", PAGE.read_text(), re.S)
    assert commands
    package = packages.package()
    (tmp_path / "package").write_bytes(package.replace(b"thermostat", b"thermostad") if altered else package)
    public = packages.PRIVATE.public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "public.pem").write_bytes(pem)
    run = subprocess.run(["sh", "-c", commands[1]], cwd=tmp_path, capture_output=True, text=True, check=False)
    expected = (1, "Verification failure") if altered else (0, "Verified OK")
    assert (run.returncode, run.stdout.strip()) == expected, run.stderr


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        (b"\xd2\x84", b"\xd1\x84", "CBOR_MALFORMED"),  # tag 17
        (b"\xd2\x84", b"\xd2\x85", "CBOR_MALFORMED"),  # array of five
        (b"\xd2\x84", b"\x84", "CBOR_MALFORMED"),  # no tag
        (b"\x01\x26\x04", b"\x01\x27\x04", "SIGNATURE_WRONG"),  # alg -8
        (b"\x4d\xa2\x01\x26\x04\x48", b"\x4e\xa2\x01\x26\x04\x49\x00", "SIGNATURE_WRONG"),  # kid of 9 bytes
        (b"\xa0\x58", b"\xa1\x01\x01\x58", "CBOR_MALFORMED"),  # something unprotected
        (b"\xa0\x58", b"\x40\x58", "CBOR_MALFORMED"),  # unprotected as bytes
        (b"\x58\x40", b"\x58\x3f", "CBOR_MALFORMED"),  # a byte left over
    ],
)
def test_another_shape_is_refused(old: bytes, new: bytes, name: str) -> None:
    at = SIGNED.rindex(old) if old == b"\x58\x40" else SIGNED.index(old)
    with pytest.raises(OtaError, match=name):
        cose.split(SIGNED[:at] + new + SIGNED[at + len(old) :])


def test_a_short_signature_is_refused() -> None:
    protected = cose.protected(bytes(8))
    with pytest.raises(OtaError, match="SIGNATURE_WRONG"):
        cose.split(cbor2.dumps(cbor2.CBORTag(18, [protected, {}, b"", bytes(63)])))


def test_the_digest_is_that_of_the_signed_structure() -> None:
    found = cose.split(SIGNED)
    state = hashes.Hash(hashes.SHA256())
    state.update(cose.to_be_signed(cose.protected(found.kid), bytes(found.payload)))
    assert state.finalize() == found.digest
