"""The API behind PgBouncer in transaction mode, where each transaction may get another session."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from support import ledger_servers
from support.api_process import Api, Ledger

BINARY = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@pytest.fixture(scope="module")
def bouncer(new_database: Callable[[], str]) -> Iterator[str]:
    """A PgBouncer with few sessions before a migrated database; the URL through it."""
    if BINARY is None:
        pytest.skip("no pgbouncer binary; install the package pgbouncer to run this")
    behind = conninfo_to_dict(new_database())
    port = ledger_servers.free_port()
    with tempfile.TemporaryDirectory(prefix="chronicle-bouncer-") as folder, Path(folder, "log").open("wb") as log:
        Path(folder).chmod(0o755)  # it gives root up, and reads its files as another user
        configuration = Path(folder, "pgbouncer.ini")
        target = f"host={behind['host']} port={behind.get('port', 5432)} user={behind['user']}"
        lines = (
            "[databases]", f"* = {target}", "[pgbouncer]", "listen_addr = 127.0.0.1", f"listen_port = {port}",
            "unix_socket_dir =", "auth_type = any", "pool_mode = transaction", "default_pool_size = 3",
        )  # fmt: skip
        configuration.write_text("\n".join(lines) + "\n")
        # As the user of the PostgreSQL server, whose socket no other may reach.
        user = ["-u", Path(str(behind["host"])).owner()] if os.geteuid() == 0 else []
        process = ledger_servers.start([BINARY, *user, str(configuration)], log)
        url = f"postgresql://ledger@127.0.0.1:{port}/{behind['dbname']}"
        try:
            ends = time.monotonic() + 10
            while True:
                try:
                    psycopg.connect(url, connect_timeout=2).close()
                    break
                except psycopg.OperationalError:
                    if time.monotonic() > ends or process.poll() is not None:
                        pytest.fail(Path(folder, "log").read_text())
            yield url
        finally:
            process.kill()
            process.wait(10)


def test_nothing_fails_behind_a_pooler_and_no_setting_leaks_to_its_other_clients(
    bouncer: str, start_api: Callable[..., Api]
) -> None:
    api = start_api(bouncer, DATABASE_POOLER="transaction", STATEMENT_TIMEOUT="2")
    with api.client() as client:
        ledger = Ledger(client)
        accounts = [ledger.open(1000) for _ in range(4)]

        def work(number: int) -> Counter[int]:
            source, destination = accounts[number % 4], accounts[(number + 1) % 4]
            posted = ledger.post("/v1/transfers", {"source": source, "destination": destination, "amount": 1})
            reads = [client.get(path) for path in ("/v1/accounts", f"/v1/accounts/{source}/entries", "/v1/proof")]
            return Counter(answer.status_code for answer in (posted, *reads))

        with ThreadPoolExecutor(16) as pool:
            statuses = sum(pool.map(work, range(60)), Counter[int]())
        proofs = 180 - statuses.pop(429)  # one proof at a time
        assert statuses == {201: 60, 200: proofs}
        assert proofs > 120, "none of the proofs was made"

    # The sessions that the API used are those that others get now.
    leaked = set()
    for _ in range(10):
        with psycopg.connect(bouncer, prepare_threshold=None) as other:
            for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
                leaked.add(other.execute(f"SHOW {name}".encode()).fetchone())
    assert leaked == {("0",)}
