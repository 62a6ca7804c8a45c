"""Sealed for one purpose, by one master key, or not opened."""

import stat
from pathlib import Path

import pytest
from otacloud.vault import SealBroken, Vault, load_master_key


def test_opens_what_it_sealed_for_that_purpose_only() -> None:
    vault = Vault(b"k" * 32)
    sealed = vault.seal(b"secret", "ds")
    assert b"secret" not in sealed
    assert vault.open(sealed, "ds") == b"secret"
    for other, data, purpose in (
        (vault, sealed, "ps"),
        (Vault(b"l" * 32), sealed, "ds"),
        (vault, sealed[:-1] + bytes([sealed[-1] ^ 1]), "ds"),
        (vault, b"", "ds"),
    ):
        with pytest.raises(SealBroken):
            other.open(data, purpose)


def test_master_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "master.key"
    key = load_master_key(path)
    assert load_master_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
