"""What a person needs who reads about a failed run the next morning: everything, in one folder."""

from __future__ import annotations

import base64
import binascii
import subprocess
from pathlib import Path

from .machine import CommandFailed, Kubectl

OVERVIEW = "pods,statefulsets,deployments,jobs,services,secrets,configmaps,pvc,chronicleledgers,podchaos,networkchaos"


def collect(kubectl: Kubectl, folder: Path) -> None:
    """Write logs of every pod, events, all objects and the ledgers into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)

    def keep(name: str, *arguments: str, optional: bool = False) -> None:
        try:
            text = kubectl(*arguments, seconds=60)
        except (CommandFailed, subprocess.TimeoutExpired) as error:
            if optional:
                return
            text = f"could not be collected: {error}"
        (folder / name).write_text(text)

    keep("overview.txt", "get", OVERVIEW, "-A", "-o", "wide")
    keep("ledgers.yaml", "get", "chronicleledgers", "-A", "-o", "yaml")
    keep("events.txt", "get", "events", "-A", "--sort-by=.lastTimestamp")
    keep("nodes.txt", "describe", "nodes")
    keep("pods.txt", "describe", "pods", "-A")
    keep("chaos.yaml", "get", "podchaos,networkchaos", "-A", "-o", "yaml")
    for line in _lines(kubectl, "pods", '{range .items[*]}{.metadata.namespace}/{.metadata.name}{"\\n"}{end}'):
        namespace, _, pod = line.partition("/")
        logs = ("-n", namespace, "logs", pod, "--all-containers")
        keep(f"{namespace}_{pod}.log", *logs, "--prefix", "--tail=3000")
        keep(f"{namespace}_{pod}.previous.log", *logs, "--previous", "--tail=500", optional=True)
    _reports(kubectl, folder)


def _reports(kubectl: Kubectl, folder: Path) -> None:
    """Write the packed report of each run that has one."""
    template = '{range .items[*]}{.metadata.namespace}_{.metadata.name}={.binaryData.report\\.tar\\.xz}{"\\n"}{end}'
    for line in _lines(kubectl, "configmaps", template):
        name, _, packed = line.partition("=")
        if packed:
            try:
                (folder / f"{name}.tar.xz").write_bytes(base64.b64decode(packed, validate=True))
            except binascii.Error as error:
                (folder / f"{name}.txt").write_text(f"no report: {error}")


def _lines(kubectl: Kubectl, kind: str, template: str) -> list[str]:
    try:
        return kubectl("get", kind, "-A", "-o", f"jsonpath={template}", seconds=60).split()
    except (CommandFailed, subprocess.TimeoutExpired):
        return []
