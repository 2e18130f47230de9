"""An open ledger answers to names that no stranger can own, and to no other."""

from __future__ import annotations

import pytest

from chronicle_ledger.web.hosts import private


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8080", "127.0.0.1", "[::1]:8080", "[::1]", "10.1.2.3:80", "localhost:8080", "LOCALHOST",
        "api.localhost", "chronicle-api:8080", "main-api.shop.svc:8080", "main-api.shop.svc.cluster.local",
        "ledger.internal", "localhost.",
    ],
)  # fmt: skip
def test_addresses_and_names_outside_public_dns_are_answered(host: str) -> None:
    assert private(host)


@pytest.mark.parametrize(
    "host",
    [
        "ledger.example.com", "127.0.0.1.nip.io:8080", "localhost.example.com", "svc.example", "evil.com:80", "",
        "a b", "127.0.0.1:8080:9", "[::1", "user@127.0.0.1", "127.0.0.1/..", "1.2.3.4.5", "mylocal.com", "x.notlocal",
    ],
)  # fmt: skip
def test_names_that_a_stranger_could_own_are_not_answered(host: str) -> None:
    assert not private(host)


def test_a_listed_name_is_answered_with_and_without_its_port() -> None:
    listed = frozenset({"ledger.example.com"})
    assert private("Ledger.Example.com:443", listed)
    assert private("ledger.example.com", listed)
    assert not private("other.example.com", listed)
