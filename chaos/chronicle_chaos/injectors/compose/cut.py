"""The cut between two regions of the compose stack: iptables rules in the network namespaces of one side's containers.

The rules are put in, and taken out, by a helper container that shares the namespace and has NET_ADMIN; the ledger's own
containers get neither the program nor the right. Packets of live connections are dropped as well as those of new ones:
the rules match addresses, not states. Everything is in one chain of its own, so that taking it out needs no knowledge
of what was put in; a container that was restarted has a fresh namespace without it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from chronicle_chaos.injectors.compose.docker import Docker, DockerError
from chronicle_chaos.injectors.healing import Step
from chronicle_chaos.injectors.injection import PreflightError

CHAIN = "CHRONICLE-CUT"
HELPER_VARIABLE = "HELPER_IMAGE"
HELPER_IMAGE = "chronicle-cut:dev"
"""The target `cut` of this project's Dockerfile; any image with a shell and iptables will do."""

INET6 = "/proc/net/if_inet6"
"""The IPv6 addresses of a namespace; empty where it has none, and then nothing of IPv6 can have been cut."""

# Ends in 0 when the chain is gone, whether or not it was there. Where nobody could look it is not known to be gone.
REMOVE = f"""
command -v iptables >/dev/null || {{ echo "no iptables" >&2; exit 1; }}
for table in iptables ip6tables; do
  command -v $table >/dev/null || continue
  for hook in INPUT OUTPUT; do
    while $table -w -D $hook -j {CHAIN} 2>/dev/null; do :; done
  done
  $table -w -F {CHAIN} 2>/dev/null; $table -w -X {CHAIN} 2>/dev/null
  rules=$($table -w -S) || {{
    [ $table = ip6tables ] && [ ! -s {INET6} ] && continue
    exit 1
  }}
  case $rules in *{CHAIN}*) echo "$table still has {CHAIN}" >&2; exit 1 ;; esac
done
"""


@dataclass(frozen=True, slots=True)
class Cut:
    """`image` is the helper's."""

    docker: Docker
    image: str

    @classmethod
    def by_environment(cls, docker: Docker) -> Cut:
        """With the helper image of `HELPER_IMAGE`, or the default."""
        return cls(docker, os.environ.get(HELPER_VARIABLE) or HELPER_IMAGE)

    async def possible(self) -> bool:
        """Whether the helper image is here. Without it no cut was put in from here, and none can be taken out."""
        return (await self.docker.attempt("image", "inspect", self.image))[0] == 0

    async def prepare(self) -> None:
        """Raise PreflightError where the helper image is not here: it is not for the middle of a run to get it."""
        if not await self.possible():
            raise PreflightError(
                f"there is no image {self.image} to cut regions apart with",
                next_step=f"run `make image`, or set {HELPER_VARIABLE} to an image with sh and iptables that is here",
            )

    async def put_in(self, containers: Sequence[str], addresses: Sequence[str]) -> None:
        """Drop every packet between each container and each address, in both directions. Raises DockerError."""
        script = insertion(addresses)
        # All have ended before one is complained of: a rule that came late would be there after healing.
        ended = await asyncio.gather(*(self._helper(name, script) for name in containers), return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error

    def removal(self, containers: Sequence[str]) -> list[Step]:
        """The steps that take the chain out of each container. One that does not run has no rules to lose."""
        return [
            Step(f"the cut in {name}", partial(self._remove, name), "docker compose restart", name)
            for name in containers
        ]

    async def _remove(self, name: str) -> None:
        container = await self.docker.container(name)
        if container is not None and container.running:
            await self._helper(name, REMOVE)

    async def _helper(self, service: str, script: str) -> None:
        container = await self.docker.named(service)
        try:
            await self.docker.call(
                "run", "--rm", f"--network=container:{container}", "--cap-drop=ALL", "--cap-add=NET_ADMIN",
                "--cap-add=NET_RAW", "--user=0", "--entrypoint=sh", "--pull=never", self.image, "-c", script,
            )  # fmt: skip
        except DockerError as error:
            raise DockerError(
                f"iptables in {container} by {self.image}: {error}",
                next_step=f"set {HELPER_VARIABLE} to an image with sh and iptables",
            ) from error


def insertion(addresses: Sequence[str]) -> str:
    """The script that cuts a namespace off from some addresses; a cut that was there before is replaced."""
    # Strict only from here on: taking out what is not there fails at every step, and may.
    lines = [f"( {REMOVE} ) || exit 1", "set -e"]
    for table in sorted({_table(a) for a in addresses}):
        lines.append(f"{table} -w -N {CHAIN}")
        for address in (a for a in addresses if _table(a) == table):
            lines.append(f"{table} -w -A {CHAIN} -s {address} -j DROP")
            lines.append(f"{table} -w -A {CHAIN} -d {address} -j DROP")
        lines.extend(f"{table} -w -I {hook} 1 -j {CHAIN}" for hook in ("INPUT", "OUTPUT"))
    return "\n".join(lines)


def _table(address: str) -> str:
    return "ip6tables" if ":" in address else "iptables"
