"""Of two ledgers of this machine, the one that lives keeps its target file; what a dead one left is no obstacle."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from chronicle_chaos.local.target_file import TargetFile, TargetFileTaken
from chronicle_chaos.target import Target

HOLDER = """
import sys, pathlib
from chronicle_chaos.local.target_file import TargetFile
from chronicle_chaos.target import Target
with TargetFile(pathlib.Path(sys.argv[1])) as file:
    file.write(Target("local", "http://127.0.0.1:1", {}, "postgresql"))
    print("held", flush=True)
    sys.stdin.read()
"""


def a_target(url: str = "http://127.0.0.1:2", kind: str = "local") -> Target:
    return Target("compose" if kind == "compose" else "local", url, {"region-a": (url,)}, "postgresql")


def test_the_target_is_there_for_its_owner_alone_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "target.json"
    with TargetFile(path) as file:
        file.write(a_target())
        assert Target.read(path).regions == {"region-a": ("http://127.0.0.1:2",)}
        assert Target.read(path).details["pid"] == os.getpid()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == []


def test_a_start_that_fails_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no start"), TargetFile(tmp_path / "target.json"):
        raise RuntimeError("no start")
    assert list(tmp_path.iterdir()) == []


def test_a_second_one_is_refused_while_the_first_starts_and_while_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "target.json"
    with TargetFile(path) as file:
        for _ in ("starting", "running"):
            with pytest.raises(TargetFileTaken, match=rf"process {os.getpid()}.*--target-file"):
                TargetFile(path).__enter__()
            file.write(a_target())
        assert Target.read(path).url == "http://127.0.0.1:2"


def test_what_a_killed_one_left_is_replaced_and_what_a_living_one_holds_is_not(tmp_path: Path) -> None:
    path = tmp_path / "target.json"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        before = path.read_bytes()
        with pytest.raises(TargetFileTaken, match=f"process {holder.pid}"):
            TargetFile(path).__enter__()
        assert path.read_bytes() == before
        holder.kill()
        holder.wait()
    assert path.read_bytes() == before, "a killed process removes nothing"
    with TargetFile(path) as file:
        file.write(a_target("http://127.0.0.1:3"))
        assert Target.read(path).url == "http://127.0.0.1:3"
    assert not path.exists()


def test_a_file_of_the_time_before_the_lock_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "target.json"
    a_target().write(path)
    with TargetFile(path) as file:
        file.write(a_target("http://127.0.0.1:3"))
    assert not path.exists()


@pytest.mark.parametrize("content", ["dear diary", '{"kind": "elsewhere"}', "[]", "\udcff"])
def test_a_file_that_is_something_else_is_not_touched(tmp_path: Path, content: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(TargetFileTaken, match=r"not written by `chronicle up`.*--target-file"):
        TargetFile(path).__enter__()
    assert path.read_bytes() == content.encode(errors="surrogateescape")


def test_the_target_of_a_compose_stack_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "target.json"
    a_target(kind="compose").write(path)
    with pytest.raises(TargetFileTaken, match="not written by `chronicle up`"):
        TargetFile(path).__enter__()
    assert Target.read(path).kind == "compose"


def test_a_file_that_somebody_put_in_its_place_stays(tmp_path: Path) -> None:
    path = tmp_path / "target.json"
    with TargetFile(path) as file:
        file.write(a_target())
        path.unlink()
        a_target("http://127.0.0.1:9").write(path)
    assert Target.read(path).url == "http://127.0.0.1:9"
