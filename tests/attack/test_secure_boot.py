"""Images signed for Secure Boot: the signature travels in the delta, espsecure verifies the result."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.attack import bench
from tests.attack.bench import NEW, OLD, delta, patch_of
from tests.attack.cases import Case

pytestmark = pytest.mark.slow


def espsecure(*words: str) -> str:
    """What espsecure says; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "espsecure", *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


SCHEMES = {"v1-ecdsa": "1", "v2-ecdsa": "2", "v2-rsa": "2"}


def key(folder: Path, scheme: str) -> tuple[str, str]:
    """(private, public) PEM files."""
    made = (
        rsa.generate_private_key(65537, 3072)
        if scheme == "v2-rsa"
        else ec.generate_private_key(ec.SECP256R1())
    )
    private, public = folder / "key.pem", folder / "key.pub.pem"
    form = serialization.PrivateFormat.TraditionalOpenSSL
    private.write_bytes(made.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    public.write_bytes(
        made.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return str(private), str(public)


def sign(data: bytes, private: str, scheme: str, folder: Path) -> bytes:
    """`data` as espsecure signs it."""
    plain, signed = folder / "plain.bin", folder / "signed.bin"
    plain.write_bytes(data)
    espsecure(
        "sign-data", "--version", SCHEMES[scheme], "--keyfile", private, "--output", str(signed), str(plain)
    )
    return signed.read_bytes()


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_board_rebuilds_the_signed_file(scheme: str, tmp_path: Path) -> None:
    private, public = key(tmp_path, scheme)
    old, new = (sign(each, private, scheme, tmp_path) for each in (OLD, NEW))
    # Where the signature of an image ends that was put there by hand, the agent finds out itself: a patch
    # needs the hash of the whole file.
    made = patch_of(new, "bsdiff", old)
    base = {"base_size": len(old), "base_sha256": hashlib.sha256(old).digest()}
    package = delta(new, old=old, **base)
    assert made.payload in package
    case = Case("", scheme, "", "", package, dump=len(new))
    found = (await bench.run(tmp_path, [case.line()], old=old))[scheme]
    assert (found["codes"], found["boots"], found["violations"]) == ([], "another", 0)
    rebuilt = tmp_path / "rebuilt.bin"
    rebuilt.write_bytes(bytes.fromhex(found["slot"]))
    assert rebuilt.read_bytes() == new
    words = ("verify-signature", "--version", SCHEMES[scheme], "--keyfile", public, str(rebuilt))
    espsecure(*words)
    # And it would say so, were it not so.
    rebuilt.write_bytes(new[:1000] + bytes([new[1000] ^ 1]) + new[1001:])
    with pytest.raises(AssertionError):
        espsecure(*words)
