"""An object store that speaks as much of S3's API as backups need, and checks each request's signature (version 4).

moto's server would say more of S3, and cannot be locked: botocore excludes the python-dateutil that matplotlib needs.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

import pytest
from aiohttp import web

ACCESS_KEY, SECRET_KEY, REGION = "access", "secret of the store", "eu-central-1"
PAGE = 3
"""Keys in one answer: few, so that listings go on over several."""

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, ?SignedHeaders=([^,]+), ?Signature=(\w+)"
)


@dataclass
class S3Server:
    """The objects by bucket and key. `refuse` answers the next so many requests with 503."""

    objects: dict[str, bytes] = field(default_factory=dict)
    refuse: int = 0
    url: str = ""
    refused_signatures: int = 0

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        body = await request.read()
        if not _signed(request, body):
            self.refused_signatures += 1
            return _error(403, "SignatureDoesNotMatch")
        if self.refuse:
            self.refuse -= 1
            return _error(503, "SlowDown")
        name = request.path.strip("/")
        if request.method == "PUT":
            self.objects[name] = body
            return web.Response(headers={"ETag": f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'})
        if request.query.get("list-type") == "2":
            return self._list(name, request)
        if name not in self.objects:
            return _error(404, "NoSuchKey")
        data = self.objects[name]
        headers = {"ETag": '"x"', "Last-Modified": "Sat, 31 Jan 2026 09:00:00 GMT"}
        return web.Response(body=data, headers=headers)

    def _list(self, bucket: str, request: web.Request) -> web.Response:
        prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter", "")
        after = request.query.get("continuation-token", "")
        keys = [it.removeprefix(f"{bucket}/") for it in sorted(self.objects) if it.startswith(f"{bucket}/{prefix}")]
        folders, files = set(), []
        for key in keys:
            rest = key.removeprefix(prefix)
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.split(delimiter)[0] + delimiter)
            else:
                files.append(key)
        left = [it for it in sorted([*folders, *files]) if it > after]
        page = left[:PAGE]
        parts = [
            f"<CommonPrefixes><Prefix>{escape(it)}</Prefix></CommonPrefixes>"
            if it in folders
            else f"<Contents><Key>{escape(it)}</Key><LastModified>2026-01-31T09:00:00.000Z</LastModified>"
            f"<ETag>x</ETag><Size>{len(self.objects[f'{bucket}/{it}'])}</Size></Contents>"
            for it in page
        ]
        more = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if len(left) > PAGE else ""
        text = f"<ListBucketResult><IsTruncated>{str(bool(more)).lower()}</IsTruncated>{more}{''.join(parts)}"
        return web.Response(text=f"{text}</ListBucketResult>", content_type="application/xml")

    @contextmanager
    def environment(self, secret: str = SECRET_KEY) -> Iterator[None]:
        """The variables by which a client finds and signs in to it."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            patch.setenv("AWS_SECRET_ACCESS_KEY", secret)
            patch.setenv("AWS_REGION", REGION)
            patch.setenv("AWS_ENDPOINT_URL", self.url)
            patch.setenv("AWS_ALLOW_HTTP", "true")
            yield


def _error(status: int, code: str) -> web.Response:
    return web.Response(status=status, text=f"<Error><Code>{code}</Code></Error>", content_type="application/xml")


def _signed(request: web.Request, body: bytes) -> bool:
    """Whether the request is signed with the secret key: AWS's "Signature Version 4", as documented."""
    found = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
    if found is None or found[1] != ACCESS_KEY:
        return False
    payload = request.headers["x-amz-content-sha256"]
    if payload not in ("UNSIGNED-PAYLOAD", hashlib.sha256(body).hexdigest()):
        return False
    signed = "".join(f"{name}:{request.headers[name].strip()}\n" for name in found[4].split(";"))
    raw_path, _, raw_query = request.raw_path.partition("?")
    query = "&".join(sorted(it if "=" in it else f"{it}=" for it in raw_query.split("&") if it))
    canonical = "\n".join([request.method, raw_path, query, signed, found[4], payload])
    scope = f"{found[2]}/{found[3]}/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{request.headers['x-amz-date']}\n{scope}\n{digest}"
    key = f"AWS4{SECRET_KEY}".encode()
    for part in (found[2], found[3], "s3", "aws4_request", text):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(key.hex(), found[5])


@asynccontextmanager
async def s3_server() -> AsyncIterator[S3Server]:
    """Serve on a free loopback port."""
    server = S3Server()
    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()
