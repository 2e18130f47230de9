"""The adapter keeps on a real API server what the double in memory keeps in the unit tests."""

from __future__ import annotations

import pytest

from chronicle_kube.client import connect
from support.kube_contract import RULES, Rule

from .world import World


@pytest.mark.parametrize(("number", "rule"), list(enumerate(RULES)), ids=[rule.__name__ for rule in RULES])
async def test_an_api_server_keeps_what_callers_rely_on(
    world: World, monkeypatch: pytest.MonkeyPatch, number: int, rule: Rule
) -> None:
    namespace = f"kube-contract-{number}"  # of which the operator knows nothing
    monkeypatch.setenv("KUBECONFIG", str(world.kubectl.kubeconfig))
    world.kubectl("create", "namespace", namespace)
    kube, _ = await connect("kube-contract")
    try:
        await rule(kube, namespace)
    finally:
        await kube.close()
        world.kubectl("delete", "namespace", namespace, "--wait=false")
