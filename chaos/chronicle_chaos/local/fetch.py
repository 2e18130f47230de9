"""Download CockroachDB's official archive, check it against a checksum that did not come with it, and keep the binary.

The publisher puts `<archive>.sha256sum` beside each archive. Whoever can change the one can change the other, so that
file proves nothing about a mirror; what is fetched is what is pinned here, or what the caller names.
"""

from __future__ import annotations

import hashlib
import http.client
import platform
import re
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from chronicle_chaos.errors import ChaosError
from chronicle_chaos.local.binaries import cache_folder

VERSION = "v24.1.32"
"""The newest patch of a long-term release whose checksums the publisher pins elsewhere than beside the archive. Without
a licence key it is throttled after 7 days, as v24.1.7, v24.2.5 and later are."""
PINNED = {
    # From the publisher's own formula of this version (github.com/cockroachdb/homebrew-tap, Formula/cockroach@24.1.rb),
    # which has none for Linux on arm64.
    "cockroach-v24.1.32.linux-amd64.tgz": "84737fa8dea1f0a1e77faa14723f99f4e572036c8f9661c689d7c0d84167e2e8",
    "cockroach-v24.1.32.darwin-10.9-amd64.tgz": "becb55287eed2a0547e618c4923aac33360055ac5341f2042b1f9ae0fbda3a4f",
    "cockroach-v24.1.32.darwin-11.0-arm64.tgz": "607d0395f762cbc6bb7c64a48928b5dc782aa1020338e65013bad501ef76851c",
}
"""SHA-256 by archive."""
BASE_URL = "https://binaries.cockroachdb.com"
MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
ARCHIVES = {
    ("linux", "amd64"): "linux-amd64",
    ("linux", "arm64"): "linux-arm64",
    ("darwin", "amd64"): "darwin-10.9-amd64",
    ("darwin", "arm64"): "darwin-11.0-arm64",
}
SHA256 = re.compile("[0-9a-f]{64}")
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
    *,
    sha256: str | None = None,
    plain_http: bool = False,
) -> Path:
    """Return the binary of `version`, downloading it where the cache has none. `progress` gets bytes done and in all.

    `sha256` is the archive's, for one that is not pinned here. `plain_http` allows an address without TLS.
    Raises FetchFailed, in one line that says what to do, where it cannot be had.
    """
    folder = (cache or cache_folder()) / f"cockroach-{version}"
    binary = folder / "cockroach"
    if binary.exists():
        return binary
    name = archive_name(version)
    wanted = (sha256 or PINNED.get(name, "")).lower()
    url = f"{base_url.rstrip('/')}/{name}"
    if not wanted:
        raise FetchFailed(
            f"no checksum of {name} is known here; give it with --sha256, from where you trust it (the publisher's is"
            f" at {BASE_URL}/{name}.sha256sum)"
        )
    if not SHA256.fullmatch(wanted):
        raise FetchFailed("--sha256 takes 64 hexadecimal digits")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A draft beside its place: what is kept is whole, and an interrupted download leaves nothing.
    with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
        archive = Path(draft) / name
        found = _download(url, archive, progress, plain_http=plain_http)
        if found != wanted:
            raise FetchFailed(
                f"{name} has the checksum {found[:12]}… instead of {wanted[:12]}…, so it is not what was published;"
                " nothing was kept"
            )
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


class _NoDetour(urllib.request.HTTPRedirectHandler):
    """Follows a redirection, but not from TLS to an address without."""

    def redirect_request(self, req: urllib.request.Request, *args: Any) -> urllib.request.Request | None:
        """Return the next request. Raises FetchFailed."""
        new = super().redirect_request(req, *args)
        if new is not None and req.type == "https" and new.type != "https":
            raise FetchFailed(f"{req.full_url} leads to {new.full_url}, which has no TLS; use another --base-url")
        return new


def _open(url: str, *, plain_http: bool) -> BinaryIO:
    if not url.startswith(("https://", "http://")):
        raise FetchFailed(f"{url} is no web address")
    if not plain_http and not url.startswith("https://"):
        raise FetchFailed(f"{url} has no TLS; use https, or allow it with --plain-http")
    try:
        response: BinaryIO = urllib.request.build_opener(_NoDetour).open(url, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        raise FetchFailed(f"{url} answered {error.code}; is the version right? (--version, --base-url)") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise FetchFailed(
            f"{url} cannot be reached ({reason}); on a machine without that address, set CHRONICLE_COCKROACH"
        ) from error
    return response


def _download(url: str, path: Path, progress: Callable[[int, int | None], None], *, plain_http: bool) -> str:
    digest = hashlib.sha256()
    done = 0
    with _open(url, plain_http=plain_http) as response, path.open("wb") as file:
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
