"""`chronicle backup` from the command line, killed in the middle too; and replicas of a ledger that is put back."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psycopg

from chronicle_ledger.seals import keys
from support.api_process import CHRONICLE, Api, Ledger, environment, until


def chronicle(database_url: str, *arguments: str | Path) -> tuple[int, Any]:
    """Exit status and what is printed, as JSON."""
    done = subprocess.run(
        [CHRONICLE, "backup", *arguments, "--json"], env=environment(database_url), capture_output=True, check=False
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_backup_is_made_killed_made_again_verified_and_put_back_before_replicas_serve_it(
    new_database: Callable[[], str], start_api: Callable[..., Api], tmp_path: Path
) -> None:
    source, target = new_database(), new_database()
    url, key = f"file://{tmp_path}/backups", tmp_path / "sealer.pem"
    keys.generate(key)
    api = start_api(source)
    with api.client() as client:
        ledger = Ledger(client)
        account = ledger.open(balance=100)

    # Killed between two segments' worth of transactions: at that rate the manifest is minutes away.
    slow: list[str | Path] = [CHRONICLE, "backup", "create", url, "--key-file", key, "--rate", "0.01"]
    killed = subprocess.Popen(slow, env=environment(source), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with psycopg.connect(source, autocommit=True) as watching:
        query = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'chronicle-cli' AND state LIKE 'idle in %%'"
        until(lambda: watching.execute(query).fetchone() is not None or killed.poll() is not None, "reading", 60)
    assert killed.poll() is None
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    status, refused = chronicle(source, "verify", url)
    assert (status, refused["error"]["code"]) == (1, "no_backup")

    status, made = chronicle(source, "create", url, "--key-file", key)
    assert (status, made["kind"]) == (0, "full")
    assert [it["id"] for it in chronicle(source, "list", url)[1]["backups"]] == [made["id"]]
    status, verified = chronicle("postgresql://no.invalid/none", "verify", url)
    assert (status, verified["transactions"]) == (0, made["ledger_transactions"])

    # As an interrupted restore leaves it: a mark. Replicas that start then, and those that run already, refuse.
    with psycopg.connect(target, autocommit=True) as marking:
        marking.execute("INSERT INTO restoring (id, backup, since) VALUES (1, 'x', now())")
    replica = start_api(target, wait=False)
    until(lambda: "put back" in httpx.get(f"{replica.url}/readyz").text, "refused for the restore", 60)
    with replica.client() as client:
        answer = client.get(f"/v1/accounts/{account}")
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert client.get("/livez").status_code == 200
        status, restored = chronicle(target, "restore", url, "--restart")
        assert (status, restored["result"], restored["head"]) == (0, "Passed", made["head"])
        until(lambda: client.get("/readyz").status_code == 200, "ready once proven", 60)
        assert Ledger(client).balance(account) == 100
