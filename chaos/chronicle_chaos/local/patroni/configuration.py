"""What Patroni and etcd of a node are told. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chronicle_chaos.local.patroni.layout import Layout, PatroniNode
from chronicle_chaos.local.ports import LOOPBACK

SCOPE = "chronicle"
NAMESPACE = "/db/"
UNREPLICATED = "synchronous-replication"
"""The sabotage of this database: a commit waits for no standby."""
TTL_SECONDS = 20
"""For how long the leader's key is good after it was renewed: 20 is the least that Patroni takes."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The passwords of PostgreSQL's users that Patroni makes, and of its REST API where that changes something."""

    superuser: str
    replication: str
    rewind: str
    rest: str


def patroni(
    node: PatroniNode, home: Path, programs: Path, secrets: Secrets, *, synchronous: bool = True
) -> dict[str, Any]:
    """Return the configuration of a node's Patroni, whose data is below `home`.

    A commit is acknowledged once one of the two standbys has it on disk, and a standby becomes the primary only where
    Patroni knows that it has every such commit (`quorum`, strict). Not `synchronous`: a control, which loses commits.
    """
    return {
        "scope": SCOPE,
        "namespace": NAMESPACE,
        "name": node.name,
        "log": {"level": "INFO", "format": "%(asctime)s %(levelname)s: %(message)s"},
        "restapi": {
            "listen": f"{LOOPBACK}:{node.rest}",
            "connect_address": f"{LOOPBACK}:{node.rest}",
            "authentication": {"username": "patroni", "password": secrets.rest},
        },
        # Its own member alone: Patroni would ask etcd for the others, and go around a cut by them.
        "etcd3": {"hosts": [f"{LOOPBACK}:{node.client}"], "use_proxies": True},
        "bootstrap": {
            "dcs": {
                # The least that Patroni takes; loop_wait + 2 * retry_timeout must not be more than ttl.
                "ttl": TTL_SECONDS,
                "loop_wait": 1,
                "retry_timeout": 3,
                "maximum_lag_on_failover": 1 << 20,
                "synchronous_mode": "quorum" if synchronous else False,
                "synchronous_mode_strict": synchronous,
                "synchronous_node_count": 1,
                "failsafe_mode": False,
                "check_timeline": True,
                "postgresql": {
                    "use_pg_rewind": True,
                    "use_slots": True,
                    "parameters": {
                        "max_connections": 150,
                        "max_wal_senders": 10,
                        "max_replication_slots": 10,
                        "max_worker_processes": 4,
                        "wal_level": "replica",
                        "hot_standby": "on",
                        "wal_log_hints": "on",
                    },
                },
            },
            "initdb": [
                {"encoding": "UTF8"}, {"locale": "C"}, {"auth-host": "scram-sha-256"}, "data-checksums", "no-sync",
            ],
        },
        "postgresql": {
            "listen": f"{LOOPBACK}:{node.postgres}",
            "connect_address": f"{LOOPBACK}:{node.postgres}",
            "data_dir": str(home / "data"),
            "bin_dir": str(programs),
            "pgpass": str(home / "pgpass"),
            "authentication": {
                "superuser": {"username": "postgres", "password": secrets.superuser},
                "replication": {"username": "replicator", "password": secrets.replication},
                "rewind": {"username": "rewind", "password": secrets.rewind},
            },
            "pg_hba": [
                f"host all all {LOOPBACK}/32 scram-sha-256",
                f"host replication replicator {LOOPBACK}/32 scram-sha-256",
            ],
            "parameters": {
                "unix_socket_directories": "",
                "shared_buffers": "64MB",
                "max_wal_size": "512MB",
                "wal_keep_size": "64MB",
                "synchronous_commit": "on",
                "wal_receiver_timeout": "5s",
                "wal_sender_timeout": "5s",
                "wal_retrieve_retry_interval": "500ms",
                "tcp_keepalives_idle": 5,
                "tcp_keepalives_interval": 2,
                "tcp_keepalives_count": 2,
                "logging_collector": "off",
                # In its own folder rather than in /dev/shm, where a server that is killed leaves it.
                "dynamic_shared_memory_type": "mmap",
            },
            "create_replica_methods": ["basebackup"],
            "basebackup": ["no-sync", {"checkpoint": "fast"}],
            "remove_data_directory_on_rewind_failure": True,
            "remove_data_directory_on_diverged_timelines": True,
        },
    }  # fmt: skip


def etcd(node: PatroniNode, layout: Layout, home: Path) -> list[str]:
    """Return the arguments of a node's etcd. Elections take a second or so, as its documentation advises for links of
    this speed on a machine that is busy."""
    return [
        "--name", node.name, "--data-dir", str(home / "etcd"),
        "--listen-client-urls", f"http://{LOOPBACK}:{node.client}",
        "--advertise-client-urls", f"http://{LOOPBACK}:{node.client}",
        "--listen-peer-urls", f"http://{LOOPBACK}:{node.peer}",
        "--initial-advertise-peer-urls", layout.peer_url(node),
        "--initial-cluster", ",".join(f"{other.name}={layout.peer_url(other)}" for other in layout.nodes),
        "--initial-cluster-state", "new", "--initial-cluster-token", SCOPE,
        "--heartbeat-interval", "200", "--election-timeout", "1000",
        # 3.5.1 is of before the fix of a corruption that this finds (etcd issue 13766).
        "--experimental-initial-corrupt-check=true",
        "--auto-compaction-mode", "periodic", "--auto-compaction-retention", "5m", "--log-level", "warn",
    ]  # fmt: skip


def etcd_environment(node: PatroniNode, layout: Layout) -> dict[str, str]:
    """Return the environment of a node's etcd: what the lone node dials goes through the outlet."""
    return {"HTTP_PROXY": f"socks5://{LOOPBACK}:{layout.outlet}"} if node == layout.alone else {}
