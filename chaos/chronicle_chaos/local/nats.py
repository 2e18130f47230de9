"""Three NATS servers with JetStream, clustered; each server reaches the others by the addresses that it is given."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chronicle_chaos.files import write_whole
from chronicle_chaos.local.binaries import find_nats
from chronicle_chaos.local.folders import make_private
from chronicle_chaos.local.ports import LOOPBACK
from chronicle_chaos.local.process import Command, SupervisedProcess

# `sync_interval: always` makes an acknowledgement mean that the message is on disk; the default fsyncs every two
# minutes (Jepsen's analysis of NATS 2.12.1). `no_advertise` and `advertise` keep servers from finding each other past
# the proxies that stand between the regions.
CONFIGURATION = """\
{passwords}
server_name: {name}
listen: {host}:{client}
http: {host}:{monitor}
jetstream {{
  store_dir: {store}
  max_memory_store: 64MB
  max_file_store: 4GB
  sync_interval: always
}}
cluster {{
  name: chronicle
  listen: {host}:{route}
  no_advertise: true
  advertise: "{host}:{advertised}"
  connect_retries: 1000000
  routes: [{routes}]
  pool_size: -1
}}
"""

USERS = Path(__file__).with_name("nats-users.conf")
"""Which user may say what: written by `make generate` from what the ledger's processes need."""


class Passwords:
    """A password for each user of the servers, in a file that you alone can read, made at each start."""

    def __init__(self, folder: Path) -> None:
        self._folder = make_private(folder)
        users = re.findall(r'user: "(\w+)", password: \$(\w+)', USERS.read_text(encoding="utf-8"))
        self._made = {name: f"p{secrets.token_hex(24)}" for name, _ in users}
        self._variables = {variable: self._made[name] for name, variable in users}
        for name, password in self._made.items():
            write_whole(self._folder / name, password, mode=0o600)

    def file_of(self, user: str) -> Path | None:
        """Return where the password of a user is; None: there is no such user."""
        return self._folder / user if user in self._made else None

    def definitions(self) -> str:
        """Return the variables that the servers' users take their passwords from."""
        return "\n".join(f'{variable}: "{password}"' for variable, password in self._variables.items())


def quoted(text: str) -> str:
    """Return `text` as a string of the server's configuration, whose escapes are those of Go (conf/lex.go)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass(frozen=True, slots=True)
class NatsNode:
    """One server: its ports; `advertised` is the route port that others are told of; `peers` the ones it dials."""

    name: str
    client: int
    monitor: int
    route: int
    advertised: int
    peers: Sequence[int]

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://{LOOPBACK}:{self.client}"

    def process(self, folder: Path, passwords: Passwords) -> SupervisedProcess:
        """Write the configuration below `folder` and make its process (not started)."""
        home = make_private(folder / self.name)
        path = home / "nats.conf"
        configuration = CONFIGURATION.format(
            passwords=passwords.definitions(),
            name=self.name,
            host=LOOPBACK,
            client=self.client,
            monitor=self.monitor,
            route=self.route,
            advertised=self.advertised,
            store=quoted(str(home / "jetstream")),
            # Its own as well, which it recognises. Servers count the routes to know how large the cluster is: two
            # that came back with empty disks would else be a cluster of their own, and shut the third one out.
            routes=", ".join(f'"nats://{LOOPBACK}:{port}"' for port in (self.route, *self.peers)),
        ) + USERS.read_text(encoding="utf-8")
        write_whole(path, configuration, mode=0o600)
        command = Command([str(find_nats()), "-c", str(path)])
        return SupervisedProcess(self.name, command, home / "nats.log")
