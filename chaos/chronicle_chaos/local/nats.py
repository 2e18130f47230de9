"""Three NATS servers with JetStream, clustered; each server reaches the others by the addresses that it is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chronicle_chaos.local.binaries import find_nats
from chronicle_chaos.local.ports import LOOPBACK
from chronicle_chaos.local.process import Command, SupervisedProcess

# `sync_interval: always` makes an acknowledgement mean that the message is on disk; the default fsyncs every two
# minutes (Jepsen's analysis of NATS 2.12.1). `no_advertise` and `advertise` keep servers from finding each other past
# the proxies that stand between the regions.
CONFIGURATION = """\
server_name: {name}
listen: {host}:{client}
http: {host}:{monitor}
jetstream {{
  store_dir: "{store}"
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

    def process(self, folder: Path) -> SupervisedProcess:
        """Write the configuration below `folder` and make its process (not started)."""
        home = folder / self.name
        home.mkdir(parents=True, exist_ok=True)
        path = home / "nats.conf"
        path.write_text(
            CONFIGURATION.format(
                name=self.name,
                host=LOOPBACK,
                client=self.client,
                monitor=self.monitor,
                route=self.route,
                advertised=self.advertised,
                store=home / "jetstream",
                routes=", ".join(f'"nats://{LOOPBACK}:{peer}"' for peer in self.peers),
            ),
            encoding="utf-8",
        )
        command = Command([str(find_nats()), "-c", str(path)])
        return SupervisedProcess(self.name, command, home / "nats.log")
