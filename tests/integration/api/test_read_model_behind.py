"""Without a projector the read model never catches up: a reader of its own write is told so, in bounded time."""

from __future__ import annotations

import time

from chronicle_ledger.api.app import document
from support.api_process import Ledger


def test_a_reader_of_its_own_write_waits_for_a_bounded_time_and_is_told_to_come_back(ledger: Ledger) -> None:
    account = ledger.open(100)
    begun = time.monotonic()
    behind = ledger.client.get(f"/v1/views/accounts/{account}/statement", params={"min_version": 2})
    waited = time.monotonic() - begun
    assert (behind.status_code, behind.json()["code"], behind.json()["version"]) == (503, "read_model_behind", 0)
    assert "Retry-After" in behind.headers
    assert behind.json().keys() == document()["components"]["examples"]["read_model_behind"]["value"].keys()
    assert 4 < waited < 15, "it waited, and not for ever"
