"""Where backups are kept: a folder or an object store, under one URL."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import LocalStore, from_url

from chronicle_ledger.backup.errors import UNDECIDED, USAGE, BackupError

SCHEMES = ("file", "s3", "gs", "az", "abfs", "abfss")
_NOT_THERE = (NotFoundError, FileNotFoundError)
RETRIES: Any = {"max_retries": 6, "retry_timeout": timedelta(seconds=60)}


class Destination:
    """The files under one URL. Every method raises BackupError where the store refuses or cannot be reached."""

    def __init__(self, store: Any, url: str) -> None:
        self._store = store
        self.url = url

    async def put(self, path: str, data: bytes) -> None:
        """Write a file that is not there yet, whole or not at all."""
        with self._refusals(path):
            if isinstance(self._store, LocalStore):
                await obstore.put_async(self._store, path, data, mode="create", use_multipart=False)
                await asyncio.to_thread(_to_disk, Path(str(self._store.prefix)) / path)
            else:
                # Ids are random, so nothing is ever there; not every S3-compatible store knows a conditional put.
                await obstore.put_async(self._store, path, data)

    async def get(self, path: str) -> bytes | None:
        """Return a file, or None where there is none."""
        with self._refusals(path):
            try:
                found = await obstore.get_async(self._store, path)
                return bytes(await found.bytes_async())
            except _NOT_THERE:
                return None

    async def folders(self) -> list[str]:
        """Return the names right under the URL that hold files, in order."""
        with self._refusals(""):
            try:
                listed = await obstore.list_with_delimiter_async(self._store)
            except _NOT_THERE:
                return []
            return sorted(str(path).strip("/").rpartition("/")[2] for path in listed["common_prefixes"])

    async def sizes(self, folder: str) -> dict[str, int]:
        """Return the bytes of each file in `folder`, by name."""
        found: dict[str, int] = {}
        with self._refusals(folder):
            async for page in obstore.list(self._store, prefix=f"{folder}/", chunk_size=1000):
                found.update({str(it["path"]).rpartition("/")[2]: int(it["size"]) for it in page})
        return found

    async def delete(self, path: str) -> None:
        """Delete a file; no error where it is gone already. A folder goes with its last file."""
        with self._refusals(path), suppress(*_NOT_THERE):
            await obstore.delete_async(self._store, path)

    @contextmanager
    def _refusals(self, path: str) -> Iterator[None]:
        try:
            yield
        except AlreadyExistsError:
            raise BackupError("file_exists", f"{self.url}/{path} exists, and a backup overwrites nothing") from None
        except (BaseError, OSError) as error:
            raise BackupError(
                "destination_unreachable",
                f"{self.url}/{path}: {_brief(error)}. Check the URL, the credentials and the store, and try again",
                UNDECIDED,
            ) from error


def open_url(url: str, *, make: bool = False) -> Destination:
    """Open a destination; `make` makes a folder that is not there. Credentials come from the environment, by the names
    that each cloud's own tools use."""
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise BackupError(
            "destination_unknown",
            f"{url!r} is not a destination: give file:///FOLDER, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or"
            " az://CONTAINER/PREFIX",
            USAGE,
        )
    try:
        store = _folder(url, make=make) if parts.scheme == "file" else from_url(url, retry_config=RETRIES)
    except (BaseError, OSError, ValueError) as error:
        raise BackupError("destination_unknown", f"{url}: {_brief(error)}", USAGE) from None
    return Destination(store, url.rstrip("/"))


def _folder(url: str, *, make: bool) -> LocalStore:
    parts = urlsplit(url)
    folder = Path(unquote(parts.path))
    if parts.netloc or not folder.is_absolute():
        raise BackupError("destination_unknown", f"{url!r} needs three slashes: file:///FOLDER", USAGE)
    if not make and not folder.is_dir():
        raise BackupError("destination_unknown", f"there is no folder {folder}", USAGE)
    return LocalStore(folder, mkdir=make, automatic_cleanup=True)


def _brief(error: BaseException) -> str:
    """Return what the store said, without the library's dump of its own state."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _to_disk(path: Path) -> None:
    for each, flags in ((path, os.O_RDONLY), (path.parent, os.O_RDONLY | os.O_DIRECTORY)):
        descriptor = os.open(each, flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
