"""The files of backups: what is accepted, and what each kind of damage is called."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from chronicle_ledger.backup import BackupError, Manifest, cipher, lines, manifest, segments
from chronicle_ledger.backup.books import Books
from chronicle_ledger.backup.chain import chain_to, listed
from chronicle_ledger.backup.cipher import Cipher
from chronicle_ledger.backup.destination import Destination, open_url
from chronicle_ledger.backup.pace import Pace
from chronicle_ledger.backup.reader import Reader
from chronicle_ledger.backup.rows import AT_ONCE, BYTES, windows
from chronicle_ledger.backup.until import Until, until, up_to
from chronicle_ledger.backup.verify import Verify
from chronicle_ledger.domain.audit import audit
from chronicle_ledger.domain.canonical import timestamp
from chronicle_ledger.domain.hashing import ledger_head
from chronicle_ledger.domain.payload import payload_of
from chronicle_ledger.domain.transaction import Transaction
from support.backups import KEY, PUBLIC, START, PaperLedger, damage, in_memory, stored, write

OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
ONE_KEY, OTHER_KEY = Cipher(bytes(32)), Cipher(bytes([7]) * 32)


async def chain(destination: Destination, **options: Any) -> list[Manifest]:
    """A full backup and an incremental one, with a seal."""
    ledger = PaperLedger()
    ledger.post(40)
    full = await write(destination, ledger, seal=True, **options)
    ledger.post(30)
    return [full, await write(destination, ledger, full, **options)]


async def code(destination: Destination, id_: str | None = None, **options: Any) -> str:
    """What a verification says."""
    try:
        await Verify(destination, **options).run(id_)
    except BackupError as error:
        return error.code
    return "verified"


async def test_a_chain_as_it_was_written_is_verified_in_plain_and_encrypted() -> None:
    for key in (None, ONE_KEY):
        destination = in_memory()
        made = await chain(destination, cipher=key)
        verified = await Verify(destination, cipher=key, trusted={PUBLIC}).run()
        assert [it.root for it in verified.chain] == [it.root for it in made]
        assert verified.transactions == made[-1].ledger_transactions
        assert made[0].seal is not None
        assert (await Verify(destination, cipher=key).run(made[0].id)).last.id == made[0].id


async def test_a_ledger_without_any_account_has_a_backup_too() -> None:
    destination = in_memory()
    empty = PaperLedger(accounts=0)
    full = await write(destination, empty)
    assert (full.segments, full.head) == ([], ledger_head([]).hex())
    await write(destination, empty, full)
    assert await code(destination) == "verified"


def flipped(data: bytes) -> bytes:
    """One bit of a byte in the middle changed."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


Damage = Callable[[Destination, list[Manifest]], None]


def segment(made: Manifest, kind: str = "transactions") -> str:
    return f"{made.id}/{next(it.name for it in made.segments if it.kind == kind)}"


def _flip(destination: Destination, made: list[Manifest], kind: str = "transactions") -> None:
    path = segment(made[0], kind)
    damage(destination, path, flipped(stored(destination, path)))


def _swap(destination: Destination, made: list[Manifest]) -> None:
    one, other = segment(made[0]), segment(made[1])
    first, second = stored(destination, one), stored(destination, other)
    damage(destination, one, second)
    damage(destination, other, first)


def _of(made: Manifest) -> str:
    return f"{made.id}/{manifest.NAME}"


def _edit(destination: Destination, made: Manifest, **fields: Any) -> None:
    document = json.loads(stored(destination, _of(made)))
    damage(destination, _of(made), json.dumps({**document, **fields}).encode())


def _reordered(destination: Destination, made: list[Manifest]) -> None:
    document = json.loads(stored(destination, _of(made[0])))
    _edit(destination, made[0], segments=document["segments"][::-1])


def _resigned(destination: Destination, made: Manifest, key: Ed25519PrivateKey, **fields: Any) -> None:
    public = key.public_key().public_bytes_raw().hex()
    changed = msgspec.structs.replace(made, public_key=public, **fields)
    damage(destination, _of(made), manifest.sign(key, changed).text())


DAMAGES: dict[str, tuple[Damage, str]] = {
    "a byte of a segment": (_flip, "segment_changed"),
    "a byte of the accounts": (lambda d, m: _flip(d, m, "accounts"), "segment_changed"),
    "a byte of the seals": (lambda d, m: _flip(d, m, "seals"), "segment_changed"),
    "a segment cut": (lambda d, m: damage(d, segment(m[1]), stored(d, segment(m[1]))[:-9]), "segment_changed"),
    "a segment gone": (lambda d, m: damage(d, segment(m[1]), None), "segment_missing"),
    "two segments exchanged": (_swap, "segment_changed"),
    "segments in another order": (_reordered, "manifest_changed"),
    "a manifest cut": (lambda d, m: damage(d, _of(m[1]), stored(d, _of(m[1]))[:200]), "manifest_unreadable"),
    "an empty manifest": (lambda d, m: damage(d, _of(m[1]), b""), "manifest_unreadable"),
    "a field more": (lambda d, m: _edit(d, m[1], more=1), "manifest_unreadable"),
    "a count": (lambda d, m: _edit(d, m[1], transactions=m[1].transactions + 1), "manifest_changed"),
    "a root": (lambda d, m: _edit(d, m[1], root="ab" * 32), "manifest_changed"),
    "a signature": (lambda d, m: _edit(d, m[1], signature="ab" * 64), "wrong_signature"),
    "a later format": (lambda d, m: _edit(d, m[1], format=2), "format_unknown"),
    "a manifest under another id": (lambda d, m: damage(d, _of(m[1]), stored(d, _of(m[0]))), "manifest_changed"),
    "the full backup gone": (lambda d, m: damage(d, _of(m[0]), None), "backup_missing"),
    "another key for one of two": (lambda d, m: _resigned(d, m[1], OTHER), "untrusted_key"),
    "a full one that was signed again": (lambda d, m: _resigned(d, m[0], KEY, at="later"), "foreign_chain"),
    "a count that was signed": (lambda d, m: _resigned(d, m[1], KEY, entries=m[1].entries + 1), "history_broken"),
    "a head that was signed": (lambda d, m: _resigned(d, m[1], KEY, head="ab" * 32), "history_broken"),
    "a seal that was signed": (
        lambda d, m: _resigned(d, m[1], KEY, seal=msgspec.structs.replace(m[0].seal, root="ab" * 32)),  # type: ignore[type-var]
        "history_broken",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
async def test_each_damage_of_a_chain_is_told_by_its_code(name: str) -> None:
    spoil, expected = DAMAGES[name]
    destination = in_memory()
    made = await chain(destination)
    spoil(destination, made)
    assert await code(destination) == expected


async def test_keys_that_do_not_fit_are_told_as_such() -> None:
    destination = in_memory()
    await chain(destination, cipher=ONE_KEY)
    assert await code(destination) == "key_missing"
    assert await code(destination, cipher=OTHER_KEY) == "wrong_key"
    assert await code(destination, cipher=ONE_KEY, trusted={OTHER.public_key().public_bytes_raw().hex()}) == (
        "untrusted_key"
    )


async def test_an_encrypted_segment_is_read_in_its_own_place_alone() -> None:
    plain, secret = in_memory(), in_memory()
    await chain(plain)
    made = await chain(secret, cipher=ONE_KEY)
    assert b"EUR" in segments._unpacked(stored(plain, segment(made[0])[:-4]), *_whole(plain, made[0]))[0]
    data = stored(secret, segment(made[0]))
    assert ONE_KEY.decrypt(data, segment(made[0]))
    for place, bytes_ in ((segment(made[1]), data), (segment(made[0]), flipped(data)), (segment(made[0]), b"short")):
        with pytest.raises(BackupError, match="cannot be decrypted"):
            ONE_KEY.decrypt(bytes_, place)


def _whole(destination: Destination, like: Manifest) -> tuple[manifest.Segment, None, str]:
    document = manifest.decode(stored(destination, _of(like)), like.id)
    return next(it for it in document.segments if it.kind == "transactions"), None, "plain"


async def test_a_forger_with_the_key_cannot_change_drop_or_double_a_transaction() -> None:
    ledger = PaperLedger()
    ledger.post(40)
    whole = ledger.posted
    amounts = tuple(replace(entry, amount=entry.amount * 2) for entry in whole[-1].entries)
    forged: dict[str, list[Transaction]] = {
        "changed": [*whole[:-1], replace(whole[-1], metadata={"forged": True})],
        "amounts": [*whole[:-1], replace(whole[-1], entries=amounts)],
        "dropped": whole[:5] + whole[6:],
        "doubled": [*whole, whole[-1]],
    }
    for name, changed in forged.items():
        destination = in_memory()
        await write(destination, ledger, changed=changed)
        assert await code(destination) == "history_broken", name


async def test_a_backup_of_another_ledger_does_not_continue_a_chain() -> None:
    destination, elsewhere = in_memory(), in_memory()
    full, _ = await chain(destination)
    other = PaperLedger(seed=2)
    other.post(10)
    foreign = await write(elsewhere, other)
    other.post(10)
    after = await write(elsewhere, other, foreign)
    damage(destination, _of(after), stored(elsewhere, _of(after)))
    assert await code(destination, after.id) == "backup_missing"
    _resigned(destination, after, KEY, previous=manifest.Link(full.id, full.root))
    for it in after.segments:
        damage(destination, f"{after.id}/{it.name}", stored(elsewhere, f"{after.id}/{it.name}"))
    assert await code(destination, after.id) == "history_broken"


async def test_a_destination_lists_what_is_whole_broken_and_unfinished() -> None:
    destination = in_memory()
    made = await chain(destination)
    damage(destination, _of(made[1]), b"{}")
    damage(destination, "20260101T000000000000Z-00000000/transactions-000001.jsonl.gz", b"x")
    damage(destination, "notes/readme.txt", b"not a backup")
    found = await listed(destination)
    assert [it.id for it in found.whole] == [made[0].id]
    assert {id_: it.code for id_, it in found.broken.items()} == {made[1].id: "manifest_unreadable"}
    assert found.unfinished == ["20260101T000000000000Z-00000000"]
    with pytest.raises(BackupError, match="there is no backup"):
        await chain_to(in_memory(), None, ())


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), posted=st.lists(st.integers(0, 25), min_size=1, max_size=4), secret=st.booleans())
async def test_what_is_backed_up_in_parts_comes_back_as_the_same_books(
    seed: int, posted: list[int], secret: bool
) -> None:
    destination, ledger = in_memory(), PaperLedger(seed)
    before: Manifest | None = None
    for count in posted:
        ledger.post(count)
        before = await write(destination, ledger, before, cipher=ONE_KEY if secret else None)
    verified = await Verify(destination, cipher=ONE_KEY).run()
    back: list[Transaction] = []
    for made in verified.chain:
        for it in made.segments:
            if it.kind == "transactions":
                page = await segments.read(destination, made, it, ONE_KEY if secret else None)
                back += [lines.transaction(line, it.name) for line in page]
    assert [payload_of(it) for it in back] == [payload_of(it) for it in ledger.posted]
    ledger.random.shuffle(back)  # segments come in no particular order of time
    with Books() as books:
        books.hear(back)
        accounts = {account.id: account for account in books.accounts()}
        assert accounts == ledger.book.accounts
        assert books.head() == verified.last.head
    assert audit(accounts, back) == []


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), at=st.integers(0, 10_000))
def test_each_moment_and_each_transaction_is_a_consistent_cut(seed: int, at: int) -> None:
    ledger = PaperLedger(seed)
    ledger.post(40)
    target = ledger.posted[at % len(ledger.posted)]
    of_moment = [it for it in ledger.posted if it.posted_at == target.posted_at]
    for cut in (Until(target.posted_at), up_to(target, of_moment), Until(START - timedelta(seconds=1)), Until()):
        inside = [it for it in ledger.posted if cut.has(it)]
        with Books() as books:
            books.hear(inside)
            assert audit({account.id: account for account in books.accounts()}, inside) == []
    exact = [it for it in ledger.posted if up_to(target, of_moment).has(it)]
    assert target in exact
    assert all(it.posted_at <= target.posted_at for it in exact)
    follows = {(e.account_id, e.version) for e in target.entries}
    assert not any((e.account_id, e.version - 1) in follows for it in exact for e in it.entries), (
        "nothing that comes after the transaction"
    )


def test_a_cut_without_what_came_before_is_noticed() -> None:
    ledger = PaperLedger()
    ledger.post(40)
    with Books() as books:
        books.hear(ledger.posted[1:])
        with pytest.raises(BackupError, match="no whole history"):
            list(books.accounts())


BAD_LINES = (b"", b"{}", b"[]", b"\xff", b'{"schema":1}', b"[" * 2000)


def test_a_line_that_no_ledger_writes_is_refused() -> None:
    good = payload_of(PaperLedger().posted[0]).encode()
    assert payload_of(lines.transaction(good, "x")).encode() == good
    for line in (
        *BAD_LINES,
        good + b" ",
        good.replace(b'"metadata"', b'"more":1,"metadata"'),
        good.replace(b":1,", b":1.0,", 1),
    ):
        with pytest.raises(BackupError) as refused:
            lines.transaction(line, "x")
        assert refused.value.code == "segment_unreadable"
    for line in (*BAD_LINES, b'["x",1,"ab"]', b'["00000000-0000-0000-0000-000000000001",1,"ab"]'):
        with pytest.raises(BackupError):
            lines.account(line, "x")


def test_keys_are_made_once_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "backup.key"
    assert cipher.generate(path) == cipher.of_file(path).key_id
    assert path.stat().st_mode & 0o777 == 0o600
    bad = tmp_path / "bad"
    bad.write_text("abc")
    for work in (lambda: cipher.generate(path), lambda: cipher.of_file(bad), lambda: cipher.of_file(tmp_path / "no")):
        with pytest.raises(BackupError) as refused:
            work()
        assert (refused.value.code, refused.value.status) == ("key_file", 2)


async def test_a_folder_keeps_backups_and_overwrites_nothing(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/new folder/backups"
    with pytest.raises(BackupError, match="there is no folder"):
        open_url(url)
    destination = open_url(url, make=True)
    made = await chain(destination)
    assert await code(open_url(url)) == "verified"
    with pytest.raises(BackupError) as refused:
        await destination.put(_of(made[0]), b"other")
    assert refused.value.code == "file_exists"
    for wrong in ("http://host/x", "folder", "file://host/x", "s3:/x"):
        with pytest.raises(BackupError) as refused:
            open_url(wrong)
        assert (refused.value.code, refused.value.status) == ("destination_unknown", 2), wrong


async def test_a_rate_is_kept_and_idle_time_gives_no_credit() -> None:
    now, slept = 0.0, []

    async def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += seconds

    pace = Pace(100, lambda: now, sleep)
    await pace.took(50)
    await pace.took(100)
    now += 60
    await pace.took(100)
    assert slept == pytest.approx([0.5, 1.0, 1.0])
    await Pace(None, lambda: now, sleep).took(1000)
    assert len(slept) == 3


@given(sizes=st.lists(st.one_of(st.integers(1, 500), st.integers(1, 2 * BYTES)), max_size=1200))
@settings(max_examples=20, deadline=None)
def test_what_is_written_at_once_is_bounded_in_number_and_bytes(sizes: list[int]) -> None:
    one = PaperLedger().posted[0]
    sized = [(replace(one, metadata={"n": number}), size) for number, size in enumerate(sizes)]
    batches = list(windows(sized))
    assert [it for batch in batches for it in batch] == [it for it, _ in sized]
    for batch in batches:
        total = sum(sizes[it.metadata["n"]] for it in batch)
        assert 1 <= len(batch) <= AT_ONCE
        assert total <= BYTES or len(batch) == 1


async def test_up_to_where_is_looked_up_in_the_files_and_refused_where_they_end() -> None:
    destination, ledger = in_memory(), PaperLedger()
    ledger.post(60)
    made = [await write(destination, ledger)]
    ledger.post(20)
    made.append(await write(destination, ledger, made[0]))
    reader = Reader(destination, made, {it.id: None for it in made})
    target = ledger.posted[len(ledger.posted) // 2]
    of_moment = [it for it in ledger.posted if it.posted_at == target.posted_at]
    assert await until(reader, made, target.id) == up_to(target, of_moment)
    assert await until(reader, made, target.posted_at) == Until(target.posted_at)
    assert await until(reader, made, None) == Until()
    skewed = [msgspec.structs.replace(it, at=timestamp(START)) for it in made]
    assert await until(reader, skewed, ledger.posted[-1].posted_at) == Until(ledger.posted[-1].posted_at)
    for beyond in (ledger.now + timedelta(hours=1), UUID(int=7)):
        with pytest.raises(BackupError) as refused:
            await until(reader, made, beyond)
        assert (refused.value.code, refused.value.status) == ("beyond_backups", 2)
