"""Download CockroachDB's official archive of one pinned version, check its published checksum, and keep the binary.

The archive and `<archive>.sha256sum` lie side by side at the publisher (CockroachDB documentation, "Releases").
"""

from __future__ import annotations

import hashlib
import http.client
import platform
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from chronicle_chaos.errors import ChaosError
from chronicle_chaos.local.binaries import cache_folder

VERSION = "v24.1.5"
"""The last series that runs as a cluster without a licence key (from 24.3 on, seven days)."""
BASE_URL = "https://binaries.cockroachdb.com"
MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
ARCHIVES = {
    ("linux", "amd64"): "linux-amd64",
    ("linux", "arm64"): "linux-arm64",
    ("darwin", "amd64"): "darwin-10.9-amd64",
    ("darwin", "arm64"): "darwin-11.0-arm64",
}
TIMEOUT_SECONDS = 30.0
CHUNK = 1 << 20


class FetchFailed(ChaosError):
    """The archive could not be had, or is not what its publisher published; nothing was kept."""


def archive_name(version: str) -> str:
    """The archive for this machine. Raises FetchFailed where there is none."""
    system, machine = platform.system().lower(), MACHINES.get(platform.machine().lower())
    name = ARCHIVES.get((system, machine or ""))
    if name is None:
        raise FetchFailed(f"there is no archive for {platform.system()} on {platform.machine()}; see {BASE_URL}")
    return f"cockroach-{version}.{name}.tgz"


def fetch_cockroach(
    base_url: str = BASE_URL,
    version: str = VERSION,
    cache: Path | None = None,
    progress: Callable[[int, int | None], None] = lambda _done, _total: None,
) -> Path:
    """Return the binary of `version`, downloading it where the cache has none. `progress` gets bytes done and in all.

    Raises FetchFailed, in one line that says what to do, where it cannot be had.
    """
    folder = (cache or cache_folder()) / f"cockroach-{version}"
    binary = folder / "cockroach"
    if binary.exists():
        return binary
    name = archive_name(version)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A draft beside its place: what is kept is whole, and an interrupted download leaves nothing.
    with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
        archive = Path(draft) / name
        url = f"{base_url.rstrip('/')}/{name}"
        wanted = _published_checksum(f"{url}.sha256sum")
        found = _download(url, archive, progress)
        if found != wanted:
            raise FetchFailed(f"{name} has checksum {found[:12]}…, its publisher says {wanted[:12]}…; nothing was kept")
        try:
            _unpack(archive, Path(draft) / "unpacked")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise FetchFailed(f"{name} cannot be unpacked ({error}); nothing was kept") from error
        try:
            (Path(draft) / "unpacked").rename(folder)
        except OSError as error:
            if not binary.exists():  # else another fetch was faster, with the same checksum
                raise FetchFailed(f"{folder} cannot be written ({error.strerror})") from error
    return binary


def _open(url: str) -> BinaryIO:
    if not url.startswith(("https://", "http://")):
        raise FetchFailed(f"{url} is no web address")
    try:
        response: BinaryIO = urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS)  # noqa: S310 - the scheme is checked
    except urllib.error.HTTPError as error:
        raise FetchFailed(f"{url} answered {error.code}; is the version right? (--version, --base-url)") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise FetchFailed(
            f"{url} cannot be reached ({reason}); on a machine without that address, set CHRONICLE_COCKROACH"
        ) from error
    return response


def _published_checksum(url: str) -> str:
    with _open(url) as response:
        words = response.read(4096).decode("ascii", "replace").split()
    if not words or len(words[0]) != 64:
        raise FetchFailed(f"{url} holds no SHA-256 checksum")
    return words[0].lower()


def _download(url: str, path: Path, progress: Callable[[int, int | None], None]) -> str:
    digest = hashlib.sha256()
    done = 0
    with _open(url) as response, path.open("wb") as file:
        length = getattr(response, "headers", {}).get("Content-Length")
        total = int(length) if length else None
        try:
            while chunk := response.read(CHUNK):
                digest.update(chunk)
                file.write(chunk)
                done += len(chunk)
                progress(done, total)
        except (OSError, http.client.HTTPException) as error:
            raise FetchFailed(f"{url} broke off after {done} bytes ({error}); try again") from error
    if total is not None and done < total:
        raise FetchFailed(f"{url} broke off after {done} of {total} bytes; try again")
    return digest.hexdigest()


def _unpack(archive: Path, folder: Path) -> None:
    """Take the binary and the libraries beside it; names inside the archive decide nothing about where they go."""
    folder.mkdir()
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            name = Path(member.name).name
            if member.isfile() and (name == "cockroach" or Path(member.name).parent.name == "lib"):
                place = folder / name if name == "cockroach" else folder / "lib" / name
                place.parent.mkdir(exist_ok=True)
                source = tar.extractfile(member)
                if source is None:
                    continue
                with source, place.open("wb") as file:
                    shutil.copyfileobj(source, file)
                place.chmod(0o755)
    if not (folder / "cockroach").exists():
        raise FetchFailed(f"{archive.name} holds no cockroach binary; nothing was kept")
