"""Passwords of URLs, kept out of whatever this process prints or logs: a driver's error may quote what it was given."""

from __future__ import annotations

import re
from urllib.parse import unquote

SHORTEST = 4
"""Shorter ones are left: they would take letters out of every word, and protect nothing."""

_PASSWORD = re.compile(r"//[^:/@]*:([^@/]*)@")
"""What stands between user and host. By its own rule, since libpq allows characters there that others do not."""

_passwords: set[str] = set()


def conceal(*urls: str) -> None:
    """Keep the passwords of `urls` out of texts from now on, as they are written there and as they are meant."""
    for url in urls:
        for password in _PASSWORD.findall(url):
            for spelling in (password, unquote(password)):
                if len(spelling) >= SHORTEST:
                    _passwords.add(spelling)


def without_passwords(text: str) -> str:
    """Return `text` with `***` in the place of each password."""
    for password in sorted(_passwords, key=len, reverse=True):
        text = text.replace(password, "***")
    return text
