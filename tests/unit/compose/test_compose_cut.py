"""The script that takes a cut out says that it is gone only where it has looked."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from chronicle_chaos.injectors.compose.cut import CHAIN, INET6, REMOVE, insertion

# Rules are lines of a file; `-D` and `-X` fail where there is nothing to delete, as iptables does.
IPTABLES = """#!/bin/sh
rules="$STATE/${0##*/}"
touch "$rules"
[ ! -e "$STATE/broken-${0##*/}" ] || { echo "can't initialize table: you must be root" >&2; exit 3; }
shift # -w
case "$1" in
  -S) cat "$rules" ;;
  -N) echo "-N $2" >>"$rules" ;;
  -A | -I) echo "$*" >>"$rules" ;;
  -D) [ ! -e "$STATE/stubborn" ] && grep -q "^-I $2 .*$4" "$rules" || exit 1
      sed -i "0,/^-I $2 .*$4/{/^-I $2 .*$4/d}" "$rules" ;;
  -F) grep -q "^-N $2" "$rules" && sed -i "/^-A $2/d" "$rules" ;;
  -X) [ ! -e "$STATE/stubborn" ] && grep -q "^-N $2" "$rules" && sed -i "/^-N $2/d" "$rules" ;;
esac
"""


class Namespace:
    """A network namespace with iptables that keep their rules in files."""

    def __init__(self, folder: Path, *tables: str) -> None:
        self.folder, self.state = folder, folder / "state"
        self.state.mkdir()
        self.bin = folder / "bin"
        self.bin.mkdir()
        for tool in ("sh", "cat", "grep", "sed", "touch"):
            (self.bin / tool).symlink_to(str(shutil.which(tool)))
        for table in tables:
            (self.bin / table).write_text(IPTABLES)
            (self.bin / table).chmod(0o755)

    def run(self, script: str) -> tuple[int, str]:
        script = script.replace(INET6, str(self.state / "if_inet6"))
        done = subprocess.run(
            [str(self.bin / "sh"), "-c", script], env={"PATH": str(self.bin), "STATE": str(self.state)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stderr

    def rules(self, table: str = "iptables") -> list[str]:
        return (self.state / table).read_text().splitlines()


@pytest.fixture
def both(tmp_path: Path) -> Namespace:
    """With iptables and ip6tables."""
    return Namespace(tmp_path, "iptables", "ip6tables")


def test_what_was_put_in_is_taken_out_and_nothing_else(both: Namespace) -> None:
    (both.state / "iptables").write_text("-P INPUT ACCEPT\n")
    assert both.run(insertion(["172.20.0.4", "fd00::4"])) == (0, "")
    for table in ("iptables", "ip6tables"):
        assert f"-I INPUT 1 -j {CHAIN}" in both.rules(table)
    assert both.run(REMOVE) == (0, "")
    assert both.rules() == ["-P INPUT ACCEPT"]
    assert both.rules("ip6tables") == []
    assert both.run(REMOVE) == (0, ""), "there is nothing left to take out"


def test_putting_in_again_replaces_what_was_there(both: Namespace) -> None:
    for _ in range(2):
        assert both.run(insertion(["172.20.0.4"]))[0] == 0
    assert both.rules().count(f"-I INPUT 1 -j {CHAIN}") == 1


@pytest.mark.parametrize("script", [REMOVE, insertion(["172.20.0.4"])])
def test_where_the_rules_cannot_be_listed_nobody_knows_that_they_are_gone(both: Namespace, script: str) -> None:
    (both.state / "broken-iptables").touch()
    status, error = both.run(script)
    assert status != 0
    assert "you must be root" in error


def test_a_rule_that_stays_is_told(both: Namespace) -> None:
    both.run(insertion(["172.20.0.4"]))
    (both.state / "stubborn").touch()
    status, error = both.run(REMOVE)
    assert status != 0
    assert f"iptables still has {CHAIN}" in error


def test_an_image_without_iptables_has_not_looked(tmp_path: Path) -> None:
    assert Namespace(tmp_path).run(REMOVE) == (1, "no iptables\n")


def test_an_image_without_ip6tables_has_none_to_look_at(tmp_path: Path) -> None:
    assert Namespace(tmp_path, "iptables").run(REMOVE) == (0, "")


@pytest.mark.parametrize(("addresses", "status"), [("", 0), ("fe80::1 eth0\n", 1)])
def test_ip6tables_that_fail_matter_only_where_there_is_ipv6(both: Namespace, addresses: str, status: int) -> None:
    (both.state / "broken-ip6tables").touch()
    (both.state / "if_inet6").write_text(addresses)
    assert both.run(REMOVE)[0] == status
