"""Each process of a local cluster has a user of NATS, and a password that its owner alone can read."""

from __future__ import annotations

from pathlib import Path

from chronicle_chaos.local.nats import USERS, NatsNode, Passwords
from chronicle_ledger.events import permissions


def test_the_local_servers_know_the_rights_that_the_processes_were_tested_with() -> None:
    assert USERS.read_text(encoding="utf-8") == permissions.configuration()


def test_every_user_has_a_password_of_its_own_in_a_private_file(tmp_path: Path) -> None:
    passwords = Passwords(tmp_path / "users")
    files = [passwords.file_of(user) for user in permissions.USERS]
    assert len({file.read_text() for file in files if file is not None}) == len(permissions.USERS)
    assert {file.stat().st_mode & 0o777 for file in files if file is not None} == {0o600}
    assert passwords.file_of("migrate") is None
    NatsNode("nats-1", 1, 2, 3, 4, [5, 6]).process(tmp_path, passwords)
    written = tmp_path / "nats-1" / "nats.conf"
    assert written.stat().st_mode & 0o777 == 0o600
    routes = 'routes: ["nats://127.0.0.1:3", "nats://127.0.0.1:5", "nats://127.0.0.1:6"]'
    assert routes in written.read_text(), "servers count the routes, their own too, to know how many they are"
    for user, file in zip(permissions.USERS, files, strict=True):
        assert file is not None
        assert f'{permissions.password_variable(user)}: "{file.read_text()}"' in written.read_text()
