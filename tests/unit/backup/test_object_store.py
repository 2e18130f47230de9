"""Backups in an object store, over S3's API: written, listed, verified, and what a refusal is called."""

from __future__ import annotations

import pytest

from chronicle_ledger.backup import BackupError
from chronicle_ledger.backup.chain import listed
from chronicle_ledger.backup.destination import open_url
from chronicle_ledger.backup.verify import Verify
from support.backups import PaperLedger, write
from support.s3_server import s3_server

URL = "s3://bucket/some/prefix"


async def test_a_chain_in_a_bucket_is_written_listed_and_verified_also_where_the_store_falters() -> None:
    async with s3_server() as store:
        with store.environment():
            destination = open_url(URL)
            assert (await listed(destination)).whole == []
            ledger = PaperLedger()
            made = None
            for _ in range(5):
                ledger.post(20)
                store.refuse = 1
                made = await write(destination, ledger, made, seal=made is None)
            assert made is not None
            assert len((await listed(destination)).whole) == 5
            assert (await Verify(destination).run()).transactions == len(ledger.posted) == made.ledger_transactions
            assert all(name.startswith("bucket/some/prefix/2026") for name in store.objects)
            name = next(it for it in store.objects if "accounts-" in it)
            del store.objects[name]
            with pytest.raises(BackupError, match="is missing") as missing:
                await Verify(destination).run()
            assert missing.value.code == "segment_missing"
        assert store.refused_signatures == 0


async def test_a_store_that_refuses_the_credentials_is_undecided_and_no_secret_is_told() -> None:
    async with s3_server() as store:
        with store.environment(secret="a wrong one"), pytest.raises(BackupError) as refused:
            await write(open_url(URL), PaperLedger())
        assert (refused.value.code, refused.value.status) == ("destination_unreachable", 3)
        assert "a wrong one" not in str(refused.value)
        assert store.objects == {}
