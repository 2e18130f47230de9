"""Build what a release publishes, from a clean checkout and reproducibly, into dist/.

    chronicle_ledger-VERSION-py3-none-any.whl, .tar.gz   the Python package: `chronicle` and `kubectl-chronicle`
    chronicle-operator-VERSION.tgz                       the Helm chart
    chronicle-operator-VERSION.yaml                      the CRD, the roles and the operator, for `kubectl apply`
    kubectl-chronicle-VERSION.tar.gz, chronicle.yaml     the kubectl plugin, and its manifest for krew
    sbom.cdx.json                                        what the image installs (CycloneDX)
    SHA256SUMS                                           of all of them

Two runs at one commit give the same bytes. Exit status: 0 built; 1 where the checkout is no release; 2 usage.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts" / "chronicle-operator"
CHECKOUT_IMAGE = "chronicle-ledger:dev"
LAUNCHER = """#!/bin/sh
# The plugin is a Python program: an installed one is used, else pipx brings it.
if python3 -c 'import chronicle_cli, kubernetes' 2>/dev/null; then exec python3 -m chronicle_cli.kubectl "$@"; fi
if command -v pipx >/dev/null 2>&1; then
  exec pipx run --spec 'chronicle-ledger[operator]=={version}' kubectl-chronicle "$@"
fi
echo "kubectl chronicle: install pipx, or: pip install 'chronicle-ledger[operator]=={version}'" >&2
exit 2
"""


def disagreements(version: str, root: Path = ROOT) -> list[str]:
    """Return each place that names another version than `version`, as sentences that say what to change."""
    wrong = []
    package = re.search(
        r'^__version__ = "(.*)"', (root / "ledger/chronicle_ledger/__init__.py").read_text(), re.MULTILINE
    )
    chart = yaml.safe_load((root / "charts/chronicle-operator/Chart.yaml").read_text())
    named = {
        "ledger/chronicle_ledger/__init__.py (__version__)": package.group(1) if package else "nothing",
        "charts/chronicle-operator/Chart.yaml (version)": str(chart["version"]),
        "charts/chronicle-operator/Chart.yaml (appVersion)": str(chart["appVersion"]),
    }
    wrong += [f"{place} says {its}; make it {version}" for place, its in named.items() if its != version]
    if not re.search(
        rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", (root / "CHANGELOG.md").read_text(), re.MULTILINE
    ):
        wrong.append(f"CHANGELOG.md has no section `## [{version}] - YYYY-MM-DD`; name the release there")
    return wrong


def build(version: str, image: str, url: str, to: Path) -> list[Path]:
    """Write every file of the release into the folder `to`, and return their paths."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    seconds = int(_git("log", "-1", "--format=%ct"))
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(seconds)}
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(to)], cwd=ROOT, env=environment, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    chart = [(f"chronicle-operator/{path.relative_to(CHART)}", path) for path in sorted(CHART.rglob("*"))]
    files = {name: path.read_bytes() for name, path in chart if path.is_file()}
    _archive(to / f"chronicle-operator-{version}.tgz", files, seconds)
    (to / f"chronicle-operator-{version}.yaml").write_text(_manifests(f"{image}:{version}"), encoding="utf-8")
    plugin = to / f"kubectl-chronicle-{version}.tar.gz"
    launcher = LAUNCHER.replace("{version}", version).encode()
    _archive(plugin, {"kubectl-chronicle": launcher, "LICENSE": (ROOT / "LICENSE").read_bytes()}, seconds)
    (to / "chronicle.yaml").write_text(_krew(version, plugin, url), encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "cyclonedx_py", "requirements", "requirements/runtime.lock", "--pyproject",
         "pyproject.toml", "--mc-type", "application", "--output-reproducible", "--output-format", "JSON",
         "--output-file", str(to / "sbom.cdx.json")], cwd=ROOT, check=True,
    )  # fmt: skip
    built = sorted(path for path in to.iterdir() if path.name != "SHA256SUMS")
    sums = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in built)
    (to / "SHA256SUMS").write_text(sums, encoding="utf-8")
    return [*built, to / "SHA256SUMS"]


def _archive(path: Path, files: dict[str, bytes], seconds: int) -> None:
    """Write a tar.gz whose bytes depend on `files` and `seconds` (since 1970) alone."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(content), seconds
            entry.mode = 0o755 if content.startswith(b"#!") else 0o644
            archive.addfile(entry, io.BytesIO(content))
    path.write_bytes(gzip.compress(buffer.getvalue(), mtime=seconds))


def _manifests(image: str) -> str:
    """Return the manifests of one operator that finds ledgers in its own namespace, in the order of `kubectl apply`."""
    names = ("crd", "rbac-namespaced", "rbac-people", "operator")
    texts = [(ROOT / "manifests" / f"{name}.yaml").read_text(encoding="utf-8") for name in names]
    return "---\n".join(texts).replace(CHECKOUT_IMAGE, image)


def _krew(version: str, archive: Path, url: str) -> str:
    platform = {
        "selector": {"matchExpressions": [{"key": "os", "operator": "In", "values": ["linux", "darwin"]}]},
        "uri": f"{url.rstrip('/')}/{archive.name}" if url else archive.name,
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "bin": "kubectl-chronicle",
    }
    document = {
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": "chronicle"},
        "spec": {
            "version": f"v{version}",
            "shortDescription": "Show ledgers and run failure scenarios on them",
            "description": "Show each ChronicleLedger with its verdicts, start scenarios, fetch their reports.\n",
            "caveats": "Needs Python 3.11 or newer, and pipx or an installed chronicle-ledger[operator].\n",
            "platforms": [platform],
        },
    }
    return yaml.safe_dump(document, sort_keys=False)


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def main() -> int:
    """Check, build, and print each file with its size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("version", help="the version, as 0.1.0; every file of the checkout that names one must agree")
    parser.add_argument("--image", default="chronicle-ledger", help="repository of the image, without a tag")
    parser.add_argument("--url", default="", help="where the files will be found, for krew's manifest")
    parser.add_argument("--to", type=Path, default=ROOT / "dist", help="folder; it is emptied first")
    parser.add_argument(
        "--allow-dirty", action="store_true", help="build although files are changed; never publish that"
    )
    given = parser.parse_args()
    wrong = disagreements(given.version)
    changed = _git("status", "--porcelain")
    if changed and not given.allow_dirty:
        wrong.append(f"the checkout has {len(changed.splitlines())} changed files; commit them first")
    if wrong:
        print(*[f"release: {sentence}" for sentence in wrong], sep="\n", file=sys.stderr)
        return 1
    for path in build(given.version, given.image, given.url, given.to):
        print(f"{path.stat().st_size:>10,}  {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
