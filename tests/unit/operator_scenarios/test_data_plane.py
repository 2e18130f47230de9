"""What makes another data plane, so that it has to be proven anew, and what does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chronicle_operator.scenarios.data_plane import data_plane
from support.ledger_specs import context, regions

TWO = {"regions": regions(2, 1), "api": {"replicas": 3}}


@pytest.mark.parametrize(
    "spec",
    [
        {**TWO, "api": {"replicas": 5}},
        {**TWO, "api": {"replicas": 3, "autoscaling": {"maxReplicas": 4}}},
        {**TWO, "regions": [{**it, "apiReplicas": 4} for it in regions(2, 1)]},
        {**TWO, "deletionPolicy": "Delete"},
        {**TWO, "resilience": {"rate": 10}},
    ],
    ids=str,
)
def test_what_comes_and_goes_does_not_ask_for_another_proof(spec: dict[str, Any]) -> None:
    assert data_plane(context(spec)) == data_plane(context(TWO))


def test_renewed_certificates_and_passwords_do_not_either() -> None:
    before = context(TWO)
    renewed = replace(before, secret_hashes={key: f"{value}-renewed" for key, value in before.secret_hashes.items()})
    assert data_plane(renewed) == data_plane(before)


@pytest.mark.parametrize(
    "spec",
    [
        {**TWO, "cockroachdb": {"image": "cockroachdb/cockroach:v24.3.0"}},
        {**TWO, "api": {"image": "chronicle-ledger:next", "replicas": 3}},
        {**TWO, "nats": {"resources": {"requests": {"cpu": "1"}}}},
        {**TWO, "regions": regions(3, 1)},
        {**TWO, "api": {"replicas": 3, "databasePoolSize": 20}},
        {**TWO, "events": {"relayReplicas": 3}},
        {**TWO, "tls": {"mode": "Disabled"}},
    ],
    ids=str,
)
def test_another_image_setting_or_number_of_nodes_does(spec: dict[str, Any]) -> None:
    assert data_plane(context(spec)) != data_plane(context(TWO))
