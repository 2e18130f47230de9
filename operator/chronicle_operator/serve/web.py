"""The operator's own HTTP server: `/livez`, `/readyz` and `/metrics`, in the event loop that does the work.

It runs in the same loop on purpose: a loop that is blocked cannot answer, and the probe fails.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from chronicle_operator.serve.liveness import Liveness


def application(
    liveness: Liveness, is_ready: Callable[[], bool], registry: CollectorRegistry, refresh: Callable[[], None]
) -> web.Application:
    """Return the server. `refresh` is called before each scrape, for figures that are read rather than counted."""

    async def livez(request: web.Request) -> web.Response:
        del request
        trouble = liveness.trouble()
        return web.Response(text=(trouble or "ok") + "\n", status=503 if trouble else 200)

    async def readyz(request: web.Request) -> web.Response:
        del request
        ready = is_ready()
        return web.Response(
            text="ok\n" if ready else "the first listing of ledgers is not done\n", status=200 if ready else 503
        )

    async def metrics(request: web.Request) -> web.Response:
        del request
        refresh()
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app


async def serve(app: web.Application, host: str, port: int) -> web.AppRunner:
    """Listen, and return the runner, whose `cleanup()` stops it. Raises OSError when the port is taken."""
    runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    # asyncio takes `::` for IPv6 alone, and no host for every address of both families that the machine has.
    await web.TCPSite(runner, None if host == "::" else host, port).start()
    return runner
