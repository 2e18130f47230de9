"""uvicorn's server, as a part of a process that decides itself when to end."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import uvicorn

from chronicle_ledger.listener.certificates import Certificates
from chronicle_ledger.listener.protocol import HEAD_SECONDS, BoundedProtocol
from chronicle_ledger.listener.sockets import BACKLOG
from chronicle_ledger.settings import Settings

ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]

CONNECTIONS = 4096
"""How many connections a process keeps at once, where its limit of open files allows it."""

FILES_OF_ITS_OWN = 200
"""Open files for everything else: connections to the database and NATS, certificates, the log."""


class Listener(uvicorn.Server):
    """uvicorn's server without its signal handlers: the process, not the listener, decides when to end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, with a bound on the time of a TLS handshake, which uvicorn has no setting for."""
        await self.lifespan.startup()
        loop, config = asyncio.get_running_loop(), self.config
        bounded: dict[str, Any] = {"ssl_handshake_timeout": HEAD_SECONDS} if config.ssl else {}

        def connection() -> BoundedProtocol:
            return BoundedProtocol(config, self.server_state, self.lifespan.state)

        self.servers = [
            await loop.create_server(connection, sock=listening, ssl=config.ssl, backlog=config.backlog, **bounded)
            for listening in sockets or ()
        ]
        self.started = True


def configuration(settings: Settings, app: ASGIApp) -> uvicorn.Config:
    """What uvicorn is told. Raises OSError (ssl.SSLError is one) where the certificate cannot be used."""
    BoundedProtocol.connections_limit = connections()
    configured = uvicorn.Config(
        app,
        loop="none",  # the process has chosen it
        interface="asgi3",
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        access_log=False,  # a line a request costs more than the request; see CHRONICLE_LOG_REQUESTS
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=75,  # longer than the 60 s of common load balancers, so that they close first
        timeout_graceful_shutdown=max(1, int(settings.drain_timeout)),
        ssl_certfile=settings.tls_cert_file,
        ssl_keyfile=str(settings.tls_key_file) if settings.tls_key_file else None,
    )
    configured.load()
    return configured


def connections() -> int:
    """How many connections there is room for."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if files == resource.RLIM_INFINITY else max(64, min(CONNECTIONS, files - FILES_OF_ITS_OWN))


def certificates(settings: Settings, listener: Listener) -> Certificates | None:
    """The listener's certificate as something that can change; None without TLS."""
    context, certificate, key = listener.config.ssl, settings.tls_cert_file, settings.tls_key_file
    if context is None or certificate is None or key is None:
        return None
    return Certificates(context, certificate, key)
