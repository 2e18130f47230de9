"""docs/support.md names the defaults that the code has."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from chronicle_operator.crd.spec import COCKROACH_IMAGE, NATS_IMAGE

ROOT = Path(__file__).parents[2]


def defaults() -> dict[str, str]:
    """Return part → default of the table."""
    text = (ROOT / "docs/support.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \| [^|]+ \|$", text, re.MULTILINE)
    return {part.strip(): default.strip() for part, default in rows}


def test_the_table_of_versions_names_the_defaults_of_the_operator_and_of_compose() -> None:
    stated = defaults()
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    for part, image in (("CockroachDB", COCKROACH_IMAGE), ("NATS", NATS_IMAGE)):
        assert stated[part] == image.partition(":")[2]
        repository = image.partition(":")[0]
        assert set(re.findall(rf"{repository}:[\w.]+", compose)) == {image}


def test_the_table_of_versions_names_the_oldest_kubernetes_that_the_chart_accepts() -> None:
    chart = yaml.safe_load((ROOT / "charts/chronicle-operator/Chart.yaml").read_text(encoding="utf-8"))
    oldest = chart["kubeVersion"].removeprefix(">=").removesuffix(".0-0")
    assert defaults()["Kubernetes"].startswith(f"{oldest} or later")
