"""The certificate of the listener, which changes while it listens."""

from __future__ import annotations

import ssl
from pathlib import Path


class Certificates:
    """A pair of files behind a context that never changes itself.

    Each handshake is given the last pair that could be loaded whole. To load a pair into a context that is in use would
    leave it without a key where only one of the two files is new yet.
    """

    def __init__(self, context: ssl.SSLContext, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._current = context
        context.sni_callback = self._choose

    def load(self) -> None:
        """Read both files; what was in force stays where they do not fit. Raises OSError (ssl.SSLError is one)."""
        fresh = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        fresh.load_cert_chain(self._certificate, self._key)
        self._current = fresh

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        del name, context
        connection.context = self._current
