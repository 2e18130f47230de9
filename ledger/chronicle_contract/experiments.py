"""Experiments of Chaos Mesh: which kinds a run makes and looks at, and how a person releases one."""

from __future__ import annotations

GROUP, VERSION = "chaos-mesh.org", "v1alpha1"

MADE = {"PodChaos": "podchaos", "NetworkChaos": "networkchaos"}
"""What a run makes, by kind, in the API's plural."""

OTHERS = {
    "DNSChaos": "dnschaos",
    "HTTPChaos": "httpchaos",
    "IOChaos": "iochaos",
    "JVMChaos": "jvmchaos",
    "KernelChaos": "kernelchaos",
    "StressChaos": "stresschaos",
    "TimeChaos": "timechaos",
}
"""What others may make of a ledger's pods besides. A run looks at these kinds and never makes one."""


def release_command(kind: str, namespace: str, name: str) -> str:
    """Return what a person runs when Chaos Mesh does not let go of an experiment."""
    return f"kubectl -n {namespace} annotate {kind.lower()} {name} chaos-mesh.chaos-mesh.org/cleanFinalizer=forced"
