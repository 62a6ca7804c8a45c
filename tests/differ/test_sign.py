"""Signers: named by URI, deterministic, checked by a second implementation."""

import hashlib
import stat
import subprocess
from pathlib import Path

import ecdsa
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from otadiff import sign
from otaspec import p256
from otaspec.errors import OtaError


def test_a_signature_verifies_and_is_always_the_same() -> None:
    signer = sign.Signer(ec.derive_private_key(7, ec.SECP256R1()))
    signature = signer.sign(b"data")
    assert p256.verify(signer.public, hashlib.sha256(b"data").digest(), signature)
    oracle = ecdsa.SigningKey.from_secret_exponent(7, ecdsa.NIST256p)
    assert signature == oracle.sign_deterministic(b"data", hashlib.sha256)  # RFC 6979
    assert signer.kid == hashlib.sha256(signer.public).digest()[:8]


@pytest.mark.parametrize("password", [None, "correct horse"])
def test_a_new_key_is_private_and_opens_again(tmp_path: Path, password: str | None) -> None:
    path = tmp_path / "keys" / "one.pem"
    made = sign.new_key(path, password)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for uri in (str(path), f"file:{path}"):
        assert sign.open_signer(uri, password).public == made.public
    with pytest.raises(OtaError, match="FILE_UNREADABLE"):
        sign.new_key(path)


def test_the_password_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = sign.new_key(tmp_path / "key.pem", "secret")
    plain = sign.new_key(tmp_path / "plain.pem")
    monkeypatch.setenv("DRIBLET_KEY_PASSWORD", "secret")
    assert sign.open_signer(str(tmp_path / "key.pem")).public == made.public
    assert sign.open_signer(str(tmp_path / "plain.pem")).public == plain.public


def openssl(folder: Path, command: str) -> None:
    subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


def test_a_key_by_openssl(tmp_path: Path) -> None:
    """The command of KEY_INVALID's remedy."""
    openssl(tmp_path, "ecparam -name prime256v1 -genkey -noout -out key.pem")
    assert "BEGIN PUBLIC KEY" in sign.open_signer(str(tmp_path / "key.pem")).public_pem()


def test_what_is_no_key(tmp_path: Path) -> None:
    sign.new_key(tmp_path / "locked.pem", "secret")
    (tmp_path / "text").write_text("hello")
    openssl(tmp_path, "ecparam -name secp384r1 -genkey -noout -out 384")
    openssl(tmp_path, "genpkey -algorithm ed25519 -out ed")
    for name in ("locked.pem", "text", "384", "ed"):
        with pytest.raises(OtaError, match="KEY_INVALID"):
            sign.open_signer(str(tmp_path / name))
    with pytest.raises(OtaError, match="KEY_INVALID"):
        sign.open_signer(str(tmp_path / "locked.pem"), "wrong")
    with pytest.raises(OtaError, match="FILE_UNREADABLE"):
        sign.open_signer(str(tmp_path / "absent"))
    with pytest.raises(OtaError, match="KEY_INVALID"):
        sign.open_signer("pkcs11:object=key")


def test_a_signature_that_the_second_library_refuses_is_not_used() -> None:
    signer = sign.Signer(ec.derive_private_key(7, ec.SECP256R1()))
    signer.public = sign.Signer(ec.derive_private_key(8, ec.SECP256R1())).public
    with pytest.raises(OtaError, match="SIGNATURE_WRONG"):
        signer.sign(b"data")
