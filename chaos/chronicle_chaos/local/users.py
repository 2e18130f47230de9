"""The database users of a local cluster's processes, made by `chronicle migrate --users`."""

from __future__ import annotations

import secrets
from pathlib import Path

from chronicle_chaos.files import write_whole
from chronicle_chaos.local.folders import make_private
from chronicle_contract.database_users import SERVING, USERS


def of_process(instance: str) -> str | None:
    """Return the user of an instance such as `relay-2`; None: it is no process of the service."""
    return SERVING.get(instance.partition("-")[0])


class UserPasswords:
    """A password for each user, in a file of `folder` that you alone can read, made at the first start."""

    def __init__(self, folder: Path) -> None:
        self.folder = make_private(folder)
        for user in USERS:
            path = self.folder / user
            if not path.exists():
                write_whole(path, secrets.token_hex(24), mode=0o600)

    def of(self, user: str) -> str:
        """Return the password of a user."""
        return (self.folder / user).read_text(encoding="utf-8").strip()
