"""The command-line tools of a cluster, as a test uses them: every failure carries what was run and what it said."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, TypeVar

from .reader import Reader, ReadFailed

log = logging.getLogger(__name__)
T = TypeVar("T")
Object = dict[str, Any]
SLOW_SECONDS = 2
"""A command that takes longer is logged: `--log-cli-level=info` shows where the time of a test goes."""


class CommandFailed(AssertionError):
    """A command ended with another status than 0."""

    def __init__(self, command: Sequence[str], status: int, said: str) -> None:
        """Keep what the command wrote to stderr."""
        super().__init__(f"{' '.join(command)[:300]}\nexit status {status}: {said[-2000:]}")
        self.said = said


def run(
    *command: str,
    given: str | None = None,
    seconds: float = 300,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a command, with `environment` on top of this process's, and return its stdout. A slow one is logged.

    Raises CommandFailed, or TimeoutExpired after `seconds`.
    """
    began = time.monotonic()
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=seconds, check=False, cwd=cwd,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    if (took := time.monotonic() - began) > SLOW_SECONDS:
        log.info("%.1f s: %s", took, " ".join(command)[:160])
    if done.returncode:
        raise CommandFailed(command, done.returncode, done.stderr or done.stdout)
    return done.stdout


def until(what: str, look: Callable[[], T | None], *, seconds: float, pause: float = 0.5) -> T:
    """Return the first answer of `look` that is neither None nor False.

    An error of a command counts as no answer, and is shown when the time is up. How long it took is logged.
    """
    began = time.monotonic()
    end = began + seconds
    last: object = None
    while True:
        try:
            found = look()
        except (CommandFailed, ReadFailed, subprocess.TimeoutExpired) as error:
            found, last = None, error
        if found is not None and found is not False:
            log.info("%.1f s: %s", time.monotonic() - began, what)
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what}" + (f"\nlast error: {last}" if last else ""))
        time.sleep(pause)


@dataclass(frozen=True)
class Kubectl:
    """kubectl for one cluster. `kubeconfig` is a file of its own: the user's is never touched."""

    kubeconfig: Path

    def __call__(self, *arguments: str, given: str | None = None, seconds: float = 120) -> str:
        """Run kubectl."""
        return run("kubectl", "--kubeconfig", str(self.kubeconfig), *arguments, given=given, seconds=seconds)

    def chronicle(self, *arguments: str, seconds: float = 120) -> str:
        """Run `kubectl chronicle`, the command line of this checkout, on the cluster."""
        command = Path(sys.executable).with_name("kubectl-chronicle")
        return run(
            str(command), *arguments, seconds=seconds,
            environment={"KUBECONFIG": str(self.kubeconfig), "NO_COLOR": "1"},
        )  # fmt: skip

    def follow(self, *arguments: str, stdout: int | IO[str] = subprocess.PIPE) -> subprocess.Popen[str]:
        """Start kubectl and leave it running. A pipe holds some 60 kB that nobody reads: for more, give a file."""
        return subprocess.Popen(("kubectl", "--kubeconfig", str(self.kubeconfig), *arguments), stdout=stdout, text=True)

    @cached_property
    def reader(self) -> Reader:
        """Reads over one connection; `close` ends it."""
        return Reader(self.kubeconfig)

    def close(self) -> None:
        """End what `reader` started."""
        if "reader" in self.__dict__:
            self.reader.close()

    def get(self, kind: str, name: str, namespace: str) -> Object | None:
        """Return an object, None when there is none. Raises ReadFailed."""
        return self.reader.get(kind, name, namespace)

    def list(self, kind: str, namespace: str, selector: str = "") -> list[Object]:
        """Return the objects of a kind (or of several, with commas). Raises ReadFailed."""
        return self.reader.list(kind, namespace, selector)

    def apply(self, *manifests: Object | str) -> None:
        """Apply manifests, given as objects or as YAML."""
        text = "\n---\n".join(it if isinstance(it, str) else json.dumps(it) for it in manifests)
        self("apply", "-f", "-", given=text)

    def merge(self, kind: str, name: str, namespace: str, patch: Object) -> None:
        """Merge-patch an object, as a hand would edit it."""
        self("-n", namespace, "patch", kind, name, "--type=merge", "-p", json.dumps(patch))

    def helm(self, *arguments: str, seconds: float = 300) -> str:
        """Run helm on the same cluster."""
        return run("helm", "--kubeconfig", str(self.kubeconfig), *arguments, seconds=seconds)
