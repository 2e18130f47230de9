"""The connection to NATS: made in the background, made again for ever, and never waited for at start."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from chronicle_ledger import logs
from chronicle_ledger.domain.errors import DatabaseUnavailable
from chronicle_ledger.ending import end
from chronicle_ledger.settings import Settings, SettingsError
from chronicle_ledger.store.failures import DATABASE_ERRORS

log = logs.get(__name__)

RECONNECT_SECONDS = 0.2
"""Pause between two attempts at one server: short, since an outage ends at a moment that nobody announces."""

LOOK_SECONDS = 0.1
"""Pause between two looks at a connection of which nats-py has not said yet that it is lost."""

CLOSE_SECONDS = 2.0
"""How long closing a client may take."""

PING_SECONDS = 3
"""After two of these without an answer a server counts as gone (a partition sends no reset)."""


class BusUnavailable(Exception):
    """NATS cannot be reached now. Nothing is lost: events wait in the outbox."""


TROUBLE = (DatabaseUnavailable, *DATABASE_ERRORS, NatsError, BusUnavailable, TimeoutError)
"""What a server that is down, slow or not set up yet makes a round of work raise. The round is tried again: a missing
table too, since `chronicle migrate` may be about to make it."""


class Bus:
    """One client of the NATS cluster. `options` are nats-py's (servers, TLS, credentials)."""

    def __init__(self, options: Mapping[str, Any], name: str) -> None:
        if not options.get("servers", ("nats-py's default",)):
            # Without a server nats-py goes round without an await, and the process answers nothing, not even a signal.
            raise ValueError("a connection to NATS needs the address of a server")
        self._options = dict(options)
        self._name = name
        self._client: Client | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self._down = asyncio.Event()
        self._down.set()
        self._closing = False

    def start(self) -> None:
        """Begin to connect; returns at once."""
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._keep_connected(), name="nats: connect")

    async def _keep_connected(self) -> None:
        while True:
            closed = asyncio.Event()
            client = self._client = Client()
            try:
                # With max_reconnect_attempts=-1 this call itself tries every server, for ever.
                await client.connect(
                    **self._options,
                    name=self._name,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=RECONNECT_SECONDS,  # type: ignore[arg-type]  # a float is slept as one
                    connect_timeout=2,
                    ping_interval=PING_SECONDS,
                    max_outstanding_pings=2,
                    error_cb=self._on_error,
                    disconnected_cb=self._on_disconnected,
                    reconnected_cb=self._on_connected,
                    closed_cb=_setter(closed),
                )
            except Exception as error:  # noqa: BLE001 - whatever stopped one attempt, the next one may pass
                log.warning("NATS refused the connection", error=str(error) or type(error).__name__)
                await close_client(client)
                await asyncio.sleep(1.0)
                continue
            await self._on_connected()
            await closed.wait()  # nats-py gives up on some errors of protocol; then begin anew

    async def _on_connected(self) -> None:
        self._down.clear()
        self._up.set()
        log.info("connected to NATS", name=self._name)

    async def _on_disconnected(self) -> None:
        self._up.clear()
        self._down.set()
        if not self._closing:
            log.warning("connection to NATS lost", name=self._name)

    async def _on_error(self, error: Exception) -> None:
        log.debug("NATS", error=str(error) or type(error).__name__)

    @property
    def connected(self) -> bool:
        """Whether a server is connected now."""
        return self._up.is_set() and self._client is not None and self._client.is_connected

    async def wait_connected(self, seconds: float) -> bool:
        """Wait until connected, `seconds` at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.connected:
                    await self._up.wait()
                    if not self.connected:
                        # nats-py tells of a loss once it has closed the old connection, and closing TLS waits up to
                        # 30 s for an answer of a server that a partition keeps away. Asking at once would be a spin.
                        await asyncio.sleep(LOOK_SECONDS)
        return self.connected

    async def disconnection(self) -> None:
        """Wait until the connection is lost."""
        await self._down.wait()

    @property
    def client(self) -> Client:
        """The connected client. Raises BusUnavailable."""
        if self._client is None or not self.connected:
            raise BusUnavailable("NATS cannot be reached; is CHRONICLE_NATS_URLS right, and are its servers up?")
        return self._client

    def jetstream(self, timeout: float = 5.0) -> JetStreamContext:
        """JetStream on the connected client; `timeout` seconds bound a call of its API. Raises BusUnavailable."""
        return self.client.jetstream(timeout=timeout)

    async def close(self) -> None:
        """Close for good."""
        self._closing = True
        if self._connecting is not None:
            await end(self._connecting)
        if self._client is not None:
            await close_client(self._client)


async def close_client(client: Client) -> None:
    """Close a client of nats-py so that nothing of it is left running, whatever it was at; errors are dropped.

    `Client.close` cancels a reconnection once. Where that cancellation is lost (see `ending.end`), the reconnection
    goes on and opens the closed client again; so it is ended here, and what it opened is closed.
    """
    for _ in range(2):
        # close() flushes first; on a dead connection that would wait for the time-out of a server that is gone.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSE_SECONDS):
                await client.close()
        reconnection = getattr(client, "_reconnection_task", None)
        if reconnection is not None:
            await end(reconnection)
        if client.is_closed:
            return


def _setter(event: asyncio.Event) -> Any:
    async def closed() -> None:
        event.set()

    return closed


def options(settings: Settings, role: str) -> dict[str, Any]:
    """nats-py's options for these settings. Raises SettingsError.

    Answers come to an inbox of the role's own: its user may listen there, and nobody else's.
    """
    chosen: dict[str, Any] = {"servers": list(settings.nats_urls), "inbox_prefix": f"_INBOX.{role}"}
    if settings.nats_ca_file is not None:
        try:
            context = ssl.create_default_context(cafile=str(settings.nats_ca_file))
            if settings.nats_cert_file is not None:
                context.load_cert_chain(settings.nats_cert_file, settings.nats_key_file)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise SettingsError(
                f"CHRONICLE_NATS_CA_FILE, CHRONICLE_NATS_CERT_FILE or CHRONICLE_NATS_KEY_FILE cannot be used: {error}"
            ) from None
        chosen["tls"] = context
    if (named := _user_in(settings.nats_urls)) is not None:
        # For every server: nats-py would come without them to one that another server told of.
        chosen["user"], chosen["password"] = named
    if settings.nats_user is not None:
        chosen["user"] = settings.nats_user
        if settings.nats_password_file is not None:
            chosen["password"] = settings.nats_password_file.read_text().strip()
    return chosen


def _user_in(urls: Sequence[str]) -> tuple[str, str] | None:
    """Name and password of the first URL that has them."""
    for url in urls:
        parts = urlsplit(url if "://" in url else f"nats://{url}")
        if parts.username and parts.password is not None:
            return unquote(parts.username), unquote(parts.password)
    return None


def of(settings: Settings, role: str) -> Bus:
    """The bus that `settings` name, for one role of one instance. Raises SettingsError."""
    settings.require(role, "nats_urls")
    return Bus(options(settings, role), f"chronicle-{role}-{settings.instance}")
