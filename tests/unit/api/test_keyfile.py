"""Keys and the file that holds their hashes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from chronicle_cli.ledger import keys
from chronicle_contract.keys import PREFIX
from chronicle_ledger.web import keyfile
from chronicle_ledger.web.access import Keyring, Role
from chronicle_ledger.web.problems import Problem


def test_keys_are_long_random_and_recognisable() -> None:
    keys = {keyfile.new_key() for _ in range(100)}
    assert len(keys) == 100
    assert {key.startswith(PREFIX) and len(key) >= 43 for key in keys} == {True}


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


def write(file: Path, **fields: str) -> str:
    """A key file of one writer; its key."""
    key = keyfile.new_key()
    file.write_text(json.dumps({"keys": [{"role": "writer", "sha256": keyfile.digest(key), **fields}]}))
    return key


def test_a_key_posts_as_its_subject_or_else_as_its_name(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    key = write(file, name="billing-2026", subject="billing")
    assert Keyring(file).authenticate(f"Bearer {key}").subject == "billing"
    key = write(file, name="billing-2026")
    assert Keyring(file).authenticate(f"Bearer {key}").subject == "billing-2026"


@pytest.mark.parametrize("fields", [{"name": "a", "subject": "chronicle"}, {"name": "anyone"}])
def test_no_key_posts_in_the_name_of_the_service_or_of_callers_without_keys(
    tmp_path: Path, fields: dict[str, str]
) -> None:
    write(tmp_path / "keys.json", **fields)
    with pytest.raises(keyfile.KeyFileError, match='give it another "subject"'):
        keyfile.read(tmp_path / "keys.json")


@pytest.mark.parametrize("subject", ["", "a\nb", "a\n", "a\x00", "\x7f", "\ud800", "x" * 101])
def test_a_subject_is_a_text_that_every_database_keeps(tmp_path: Path, subject: str) -> None:
    write(tmp_path / "keys.json", name="a", subject=subject)
    with pytest.raises(keyfile.KeyFileError, match="subject"):
        keyfile.read(tmp_path / "keys.json")


def test_a_name_is_given_once(tmp_path: Path) -> None:
    entry: dict[str, str] = {"name": "a", "role": "reader", "sha256": keyfile.digest("x")}
    keyfile.append(tmp_path / "keys.json", entry)
    with pytest.raises(keyfile.KeyFileError, match="choose another name"):
        keyfile.append(tmp_path / "keys.json", entry)


def test_an_entry_that_would_make_the_file_unreadable_is_not_added(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    with pytest.raises(keyfile.KeyFileError, match='give it another "subject"'):
        keyfile.append(file, {"name": "chronicle", "role": "reader", "sha256": keyfile.digest("x")})
    assert not file.exists()


def test_a_file_keeps_its_mode_its_owner_and_the_link_that_leads_to_it(tmp_path: Path) -> None:
    file, link = tmp_path / "real.json", tmp_path / "keys.json"
    keyfile.append(file, {"name": "a", "role": "reader", "sha256": keyfile.digest("a")})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o640)
    owner = (1234, 1235) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(file, *owner)
    link.symlink_to(file.name)
    keyfile.append(link, {"name": "b", "role": "reader", "sha256": keyfile.digest("b")})
    assert link.is_symlink()
    after = file.stat()
    assert (stat.S_IMODE(after.st_mode), after.st_uid, after.st_gid) == (0o640, *owner)
    assert [entry.name for entry in keyfile.read(link)] == ["a", "b"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys.json", "real.json"]


def test_sixteen_that_add_at_once_add_sixteen(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    code = (
        "import sys, pathlib; from chronicle_ledger.web import keyfile; sys.stdin.read(); "
        "keyfile.append(pathlib.Path(sys.argv[1]), {'name': sys.argv[2], 'role': 'reader', "
        "'sha256': keyfile.digest(sys.argv[2])})"
    )
    adding = [
        subprocess.Popen([sys.executable, "-c", code, str(file), f"key {number}"], stdin=subprocess.PIPE)
        for number in range(16)
    ]
    for process in adding:  # all have imported what they need, or nearly
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(60) for process in adding] == [0] * 16
    assert {entry.name for entry in keyfile.read(file)} == {f"key {number}" for number in range(16)}


@pytest.mark.parametrize(("names", "hashes", "words"), [("ab", "xx", "equal hashes"), ("aa", "xy", "equal names")])
def test_keys_that_cannot_be_told_apart_are_refused(tmp_path: Path, names: str, hashes: str, words: str) -> None:
    entries = [
        {"name": name, "role": "reader", "sha256": keyfile.digest(text)}
        for name, text in zip(names, hashes, strict=True)
    ]
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": entries}))
    with pytest.raises(keyfile.KeyFileError, match=words):
        keyfile.read(file)


def test_a_file_that_others_can_change_is_told(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    arguments = ["new", "--role", "reader", "--file", str(file), "--name"]
    assert "chmod" not in CliRunner().invoke(keys, [*arguments, "a"]).stderr
    file.chmod(0o662)
    told = CliRunner().invoke(keys, [*arguments, "b"])
    assert told.exit_code == 0
    assert "mode 0662" in told.stderr
    assert "chmod go-w" in told.stderr


def test_a_file_that_could_not_be_read_afterwards_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(keyfile.KeyFileError):
        keyfile.append(tmp_path / "keys.json", {"name": "", "role": "reader", "sha256": keyfile.digest("a")})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(keyfile.KeyFileError, match="nothing was added"):
        keyfile.append(tmp_path / "none" / "keys.json", {"name": "a", "role": "reader", "sha256": keyfile.digest("a")})
