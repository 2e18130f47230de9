"""The chain of seals: what is accepted, and what each change of a seal or of a row does to it."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chronicle_ledger.seals import SealBroken, SealedAccount, SealedChain, file, keys
from chronicle_ledger.seals.document import Rows, Seal, sign

KEY = Ed25519PrivateKey.generate()
OTHER_KEY = Ed25519PrivateKey.generate()
PUBLIC, OTHER_PUBLIC = (key.public_key().public_bytes_raw().hex() for key in (KEY, OTHER_KEY))
AT = datetime(2026, 1, 31, 9, tzinfo=UTC)


def accounts(*versions: tuple[int, int]) -> list[SealedAccount]:
    return [SealedAccount(UUID(int=number), version, bytes([version]) * 32) for number, version in versions]


def sealed(rows: list[SealedAccount], before: Seal | None, key: Ed25519PrivateKey = KEY) -> Seal:
    digest = Rows()
    for row in rows:
        digest.add(row)
    return sign(key, before, digest, 7, AT)


FIRST = accounts((0, 1), (1, 2), (2, 1))
SECOND = accounts((1, 5), (3, 1))
SEAL_1 = sealed(FIRST, None)
SEAL_2 = sealed(SECOND, SEAL_1)


def text(*seals: tuple[list[SealedAccount], Seal]) -> list[str]:
    lines = []
    for rows, seal in seals:
        lines += [file.row_line(row) for row in rows] + [seal.line()]
    return lines


LINES = text((FIRST, SEAL_1), (SECOND, SEAL_2))


@contextlib.contextmanager
def heard(lines: list[str], *, trusted: tuple[str, ...] = (PUBLIC,)) -> Iterator[SealedChain]:
    with SealedChain(trusted) as chain:
        file.hear(io.BytesIO("".join(f"{line}\n" for line in lines).encode()), chain)
        yield chain


def test_a_chain_knows_the_last_state_of_each_account_and_every_state_in_order() -> None:
    with heard(LINES) as chain:
        assert chain.last == SEAL_2
        assert [(s.account_id.int, s.version, s.number) for s in chain.latest(None, None).values()] == [
            (0, 1, 1), (1, 5, 2), (2, 1, 1), (3, 1, 2),
        ]  # fmt: skip
        assert [s.account_id.int for s in chain.latest(UUID(int=0), UUID(int=2)).values()] == [1, 2]
        assert [(s.account_id.int, s.version) for s in chain.states()] == [(0, 1), (1, 2), (1, 5), (2, 1), (3, 1)]
        assert list(chain.roots()) == [(1, SEAL_1.root), (2, SEAL_2.root)]


def changed(line: int, **fields: object) -> list[str]:
    lines = list(LINES)
    lines[line] = json.dumps({**json.loads(lines[line]), **fields}, sort_keys=True)
    return lines


FORGED = sealed(accounts((1, 6)), SEAL_1, OTHER_KEY)

BROKEN = {
    "a head": ([LINES[0].replace("01", "02"), *LINES[1:]], "line 4: the accounts of seal 1"),
    "a version": ([LINES[0], LINES[1].replace(",2,", ",3,"), *LINES[2:]], "the accounts of seal 1"),
    "a row taken away": (LINES[1:], "line 3: the accounts of seal 1"),
    "a row added": ([*LINES[:3], file.row_line(accounts((9, 1))[0]), *LINES[3:]], "the accounts of seal 1"),
    "two rows exchanged": ([LINES[1], LINES[0], *LINES[2:]], "does not come in order"),
    "a seal taken away": (LINES[:3] + LINES[4:], "does not come in order"),
    "the first seal taken away": (text((SECOND, SEAL_2), (SECOND, SEAL_2)), "sealed twice"),
    "a seal of one key among those of another": (
        text((FIRST, SEAL_1), (accounts((1, 6)), FORGED)), "signed by another key"
    ),
    "a number": (changed(3, number=2), "its root does not fit"),
    "a time": (changed(3, at="2026-02-01T00:00:00.000000Z"), "its root does not fit"),
    "the count of transactions": (changed(3, transactions=8), "its root does not fit"),
    "the previous root": (changed(6, previous="ab" * 32), "its root does not fit"),
    "a root": (changed(3, root="ab" * 32), "its root does not fit"),
    "a signature": (changed(3, signature="ab" * 64), "not signed by the key"),
    "a later schema": (changed(3, schema=2), "upgrade this program"),
    "a field more": (changed(3, more=1), "line 4 is neither"),
    "nonsense": (["nonsense", *LINES], "line 1 is neither"),
    "a deep list": (["[" * 3000, *LINES], "line 1 is neither"),
    "a long line": (["[" * 5000, *LINES], "line 1 is too long"),
    "a fork": (text((FIRST, SEAL_1), (accounts((1, 6)), sealed(accounts((1, 6)), SEAL_2))), "does not follow seal 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_each_change_of_a_kept_seal_is_told_with_its_line(name: str) -> None:
    lines, message = BROKEN[name]
    with pytest.raises(SealBroken, match=message), heard(lines):
        pass


def test_without_a_key_to_trust_the_first_seals_key_must_have_signed_all() -> None:
    with heard(LINES, trusted=()) as chain:
        assert chain.last == SEAL_2
    two_keys = text((FIRST, SEAL_1), (accounts((1, 6)), FORGED))
    with pytest.raises(SealBroken, match="another key"), heard(two_keys, trusted=()):
        pass
    of_another = pytest.raises(SealBroken, match=f"signed by another key \\({PUBLIC}\\)")
    with of_another, heard(LINES, trusted=(OTHER_PUBLIC,)):
        pass


def test_seals_of_a_former_key_count_where_both_are_trusted() -> None:
    with heard(text((FIRST, SEAL_1), (accounts((1, 6)), FORGED)), trusted=(PUBLIC, OTHER_PUBLIC)) as chain:
        assert chain.last == FORGED


def test_a_copy_that_begins_after_the_first_seal_is_accepted_as_far_as_it_goes() -> None:
    with heard(text((SECOND, SEAL_2))) as chain:
        assert chain.first == SEAL_2
        assert [state.number for state in chain.states()] == [2, 2]


@pytest.mark.parametrize(
    "tail", [LINES[4] + "\n", LINES[4][:20], SEAL_2.line()[:-5]], ids=["row", "half a row", "half a seal"]
)
def test_what_an_interrupted_sealer_left_counts_for_nothing_and_is_written_over(tmp_path: Path, tail: str) -> None:
    path = tmp_path / "seals"
    path.write_text("".join(f"{line}\n" for line in LINES[:4]) + tail)
    with file.locked(path) as opened, SealedChain([PUBLIC]) as chain:
        end = file.hear(opened, chain)
        assert chain.last == SEAL_1
        assert [state.number for state in chain.states()] == [1, 1, 1]
        file.append(opened, end, SECOND, SEAL_2)
    assert path.read_text().splitlines() == LINES


def test_two_sealers_never_write_one_file_at_once(tmp_path: Path) -> None:
    with (
        file.locked(tmp_path / "seals"),
        pytest.raises(file.SealFileError, match="another sealer"),
        file.locked(tmp_path / "seals"),
    ):
        pass


def test_a_key_is_written_for_its_owner_alone_and_never_over_another(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    public = keys.generate(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert keys.private_key(path).public_key().public_bytes_raw().hex() == public
    with pytest.raises(keys.SealKeyError, match="never overwritten"):
        keys.generate(path)


def test_a_public_key_is_read_from_hex_and_from_files_of_hex_and_pem(tmp_path: Path) -> None:
    pem, hexadecimal, wrong = tmp_path / "pem", tmp_path / "hex", tmp_path / "wrong"
    pem.write_bytes(
        KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    hexadecimal.write_text(f"{PUBLIC.upper()}\n")
    wrong.write_text("nonsense")
    assert {keys.public_key(given) for given in (PUBLIC, str(pem), str(hexadecimal))} == {PUBLIC}
    for given in (str(wrong), str(tmp_path / "absent"), "ab" * 31):
        with pytest.raises(keys.SealKeyError):
            keys.public_key(given)
