"""How long CockroachDB takes to notice that a node is gone."""

from __future__ import annotations

NOTICED = 18.0
"""Seconds after which `/health` must have noticed that a node is gone.

A node's liveness record is good for 9 s after its last heartbeat, of which there is one every 4.5 s (CockroachDB 20.1;
later releases are faster). Until it has run out nobody can tell a dead node from a slow one, and `ok` is no lie. To it
come the second that a finding of `/health` is kept, and gossip, which carries the news and may have to find a new way
around what is gone: on two busy cores up to 15 s were measured. A smaller bound would judge the machine.
"""
