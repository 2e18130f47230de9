"""What can stand in the way of a backup, with stable codes: docs/backup.md lists them."""

from __future__ import annotations

NO, USAGE, UNDECIDED = 1, 2, 3


class BackupError(Exception):
    """A backup was not made, not accepted or not restored.

    `code` is stable. `status` is the exit status: 1 says no, 2 asks for other arguments, 3 asks to try again.
    """

    def __init__(self, code: str, message: str, status: int = NO) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
