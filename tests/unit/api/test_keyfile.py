"""Keys and the file that holds their hashes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chronicle_ledger.api import keyfile
from chronicle_ledger.api.access import Keyring, Role
from chronicle_ledger.api.problems import Problem


def test_keys_are_long_random_and_recognisable() -> None:
    keys = {keyfile.new_key() for _ in range(100)}
    assert len(keys) == 100
    assert {key.startswith(keyfile.PREFIX) and len(key) >= 43 for key in keys} == {True}


@pytest.mark.parametrize("suffix", [".json", ".toml"])
def test_a_key_is_known_by_its_hash_in_either_format(tmp_path: Path, suffix: str) -> None:
    key = keyfile.new_key()
    file = tmp_path / f"keys{suffix}"
    digest = keyfile.digest(key)
    if suffix == ".json":
        file.write_text(json.dumps({"keys": [{"name": "a", "role": "writer", "sha256": digest}]}))
    else:
        file.write_text(f'[[keys]]\nname = "a"\nrole = "writer"\nsha256 = "{digest}"\n')
    principal = Keyring(file).authenticate(f"Bearer {key}")
    assert (principal.name, principal.role) == ("a", Role.WRITER)
    with pytest.raises(Problem) as refused:
        Keyring(file).authenticate(f"Bearer {key}x")
    assert refused.value.code == "unauthenticated"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"keys": [{"name": "a", "role": "king", "sha256": "00"}]}'])
def test_a_broken_file_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys.json"
    file.write_text(text)
    with pytest.raises(keyfile.KeyFileError, match=r"keys\.json"):
        keyfile.read(file)


def test_a_name_is_given_once(tmp_path: Path) -> None:
    entry = {"name": "a", "role": "reader", "sha256": keyfile.digest("x")}
    keyfile.append(tmp_path / "keys.json", entry)
    with pytest.raises(keyfile.KeyFileError, match="choose another name"):
        keyfile.append(tmp_path / "keys.json", entry)
