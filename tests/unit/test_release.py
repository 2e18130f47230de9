"""A release is built from a checkout whose files agree on the version, twice with the same bytes."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
import release
import yaml

from chronicle_ledger import __version__

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a release that is built here, by name."""
    built = release.build(
        __version__, "registry.example/ledger", "https://example.org/v0", tmp_path_factory.mktemp("d")
    )
    return {path.name: path.read_bytes() for path in built}


def checkout(folder: Path) -> Path:
    """A copy of what names a version."""
    for name in ("ledger/chronicle_ledger/__init__.py", "charts/chronicle-operator/Chart.yaml", "CHANGELOG.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def test_package_chart_and_changelog_of_this_checkout_name_one_version() -> None:
    assert release.disagreements(__version__) == []


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("ledger/chronicle_ledger/__init__.py", f'"{__version__}"', '"9.9.9"'),
        ("charts/chronicle-operator/Chart.yaml", f"\nversion: {__version__}", "\nversion: 9.9.9"),
        ("charts/chronicle-operator/Chart.yaml", f'appVersion: "{__version__}"', 'appVersion: "9.9.9"'),
        ("CHANGELOG.md", f"## [{__version__}] - ", "## [9.9.9] - "),
    ],
)
def test_a_file_that_names_another_version_is_told(tmp_path: Path, name: str, old: str, new: str) -> None:
    path = checkout(tmp_path) / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    (sentence,) = release.disagreements(__version__, tmp_path)
    assert sentence.startswith(name)


def test_a_second_build_gives_the_same_bytes(files: dict[str, bytes], tmp_path: Path) -> None:
    again = release.build(__version__, "registry.example/ledger", "https://example.org/v0", tmp_path / "again")
    assert {path.name: path.read_bytes() for path in again} == files


def test_the_checksums_are_those_of_every_other_file(files: dict[str, bytes]) -> None:
    sums = {line.split("  ")[1]: line.split("  ")[0] for line in files["SHA256SUMS"].decode().splitlines()}
    others = {name: content for name, content in files.items() if name != "SHA256SUMS"}
    assert sums == {name: hashlib.sha256(content).hexdigest() for name, content in others.items()}


def test_the_wheel_has_every_package_both_commands_and_what_they_read(files: dict[str, bytes]) -> None:
    wheel = zipfile.ZipFile(io.BytesIO(files[f"chronicle_ledger-{__version__}-py3-none-any.whl"]))
    names = set(wheel.namelist())
    for package in ("chronicle_cli", "chronicle_ledger", "chronicle_chaos", "chronicle_operator", "chronicle_kube"):
        assert f"{package}/__init__.py" in names
    for path in (ROOT / "ledger/chronicle_ledger/store/migrations").glob("*.sql"):
        assert f"chronicle_ledger/store/migrations/{path.name}" in names
    entry_points = wheel.read(f"chronicle_ledger-{__version__}.dist-info/entry_points.txt").decode()
    assert {line.split(" = ")[0] for line in entry_points.splitlines() if "=" in line} == {
        "chronicle",
        "kubectl-chronicle",
    }


def test_the_chart_is_one_folder_named_as_the_chart(files: dict[str, bytes]) -> None:
    with tarfile.open(fileobj=io.BytesIO(files[f"chronicle-operator-{__version__}.tgz"])) as archive:
        names = {member.name for member in archive}
    folder = ROOT / "charts" / "chronicle-operator"
    there = {f"chronicle-operator/{path.relative_to(folder)}" for path in folder.rglob("*") if path.is_file()}
    assert names == there


def test_the_plain_manifests_name_the_released_image_everywhere(files: dict[str, bytes]) -> None:
    text = files[f"chronicle-operator-{__version__}.yaml"].decode()
    assert "chronicle-ledger:dev" not in text
    kinds = [document["kind"] for document in yaml.safe_load_all(text)]
    assert kinds[0] == "CustomResourceDefinition"
    assert "Deployment" in kinds
    assert f"image: registry.example/ledger:{__version__}" in text


def test_krew_is_told_the_hash_of_the_archive_it_will_find(files: dict[str, bytes]) -> None:
    manifest = yaml.safe_load(files["chronicle.yaml"])
    (platform,) = manifest["spec"]["platforms"]
    archive = files[f"kubectl-chronicle-{__version__}.tar.gz"]
    assert platform["uri"] == f"https://example.org/v0/kubectl-chronicle-{__version__}.tar.gz"
    assert platform["sha256"] == hashlib.sha256(archive).hexdigest()
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        launcher = opened.getmember(platform["bin"])
        assert launcher.mode & 0o111
    assert re.fullmatch(r"v\d+\.\d+\.\d+", manifest["spec"]["version"])
