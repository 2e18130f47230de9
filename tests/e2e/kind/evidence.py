"""What a person needs who reads about a failed run the next morning: everything, in one folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .machine import CommandFailed, Kubectl

OVERVIEW = "pods,statefulsets,deployments,jobs,services,secrets,configmaps,pvc,chronicleledgers,podchaos,networkchaos"


def collect(kubectl: Kubectl, folder: Path) -> None:
    """Write logs of every pod, events, all objects and the ledgers into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)

    def keep(name: str, *arguments: str) -> None:
        try:
            text = kubectl(*arguments, seconds=60)
        except (CommandFailed, subprocess.TimeoutExpired) as error:
            text = f"could not be collected: {error}"
        (folder / name).write_text(text)

    keep("overview.txt", "get", OVERVIEW, "-A", "-o", "wide")
    keep("ledgers.yaml", "get", "chronicleledgers", "-A", "-o", "yaml")
    keep("events.txt", "get", "events", "-A", "--sort-by=.lastTimestamp")
    keep("nodes.txt", "describe", "nodes")
    keep("pods.txt", "describe", "pods", "-A")
    keep("chaos.yaml", "get", "podchaos,networkchaos", "-A", "-o", "yaml")
    for line in _pods(kubectl):
        namespace, _, pod = line.partition("/")
        if namespace in ("kube-system", "local-path-storage"):
            continue
        keep(f"{namespace}_{pod}.log", "-n", namespace, "logs", pod, "--all-containers", "--prefix", "--tail=3000")
        keep(
            f"{namespace}_{pod}.previous.log",
            "-n",
            namespace,
            "logs",
            pod,
            "--all-containers",
            "--previous",
            "--tail=500",
        )


def _pods(kubectl: Kubectl) -> list[str]:
    template = '{range .items[*]}{.metadata.namespace}/{.metadata.name}{"\\n"}{end}'
    try:
        return kubectl("get", "pods", "-A", "-o", f"jsonpath={template}").split()
    except (CommandFailed, subprocess.TimeoutExpired):
        return []
