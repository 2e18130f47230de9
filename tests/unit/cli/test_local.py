"""`chronicle up` shows no key to others of the machine, and prints what can be pasted."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from chronicle_chaos.errors import ChaosError
from chronicle_chaos.local import cluster
from chronicle_cli.local import up


@pytest.fixture
def specs(monkeypatch: pytest.MonkeyPatch) -> list[cluster.LocalSpec]:
    """What would be started."""
    seen: list[cluster.LocalSpec] = []

    def refuse(spec: cluster.LocalSpec, _progress: object) -> None:
        seen.append(spec)
        raise ChaosError("no start")

    monkeypatch.setattr(cluster, "LocalCluster", refuse)
    return seen


def test_a_key_comes_from_a_file_from_standard_input_or_the_environment(
    tmp_path: Path, specs: list[cluster.LocalSpec]
) -> None:
    file = tmp_path / "key"
    file.write_text("clk_from_a_file\n")
    target = ["--target-file", str(tmp_path / "target.json")]
    CliRunner().invoke(up, [*target, "--key-file", str(file)])
    CliRunner().invoke(up, [*target, "--key-file", "-"], input="clk_from_stdin\n")
    CliRunner().invoke(up, target, env={"CHRONICLE_API_KEY": "clk_from_the_environment"})
    assert [spec.api_key for spec in specs] == ["clk_from_a_file", "clk_from_stdin", "clk_from_the_environment"]
    assert CliRunner().invoke(up, [*target, "--key", "clk_for_all_to_see"]).exit_code == 2


def test_an_empty_key_file_is_refused(tmp_path: Path, specs: list[cluster.LocalSpec]) -> None:
    result = CliRunner().invoke(up, ["--target-file", str(tmp_path / "t"), "--key-file", "-"], input="")
    assert result.exit_code == 2
    assert "chronicle keys new" in result.output
    assert specs == []
