"""Real API processes on a real PostgreSQL, as an operator would start them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import httpx
import pytest

from support import ledger_servers
from support.api_process import CHRONICLE, Api, Ledger, environment, until


@pytest.fixture(scope="session")
def new_database(postgres_server: list[str]) -> Callable[[], str]:
    """Make a migrated database of its own; its URL."""

    def make() -> str:
        url = ledger_servers.create_database(postgres_server)[0]
        subprocess.run([CHRONICLE, "migrate"], env=environment(url), check=True, capture_output=True)
        return url

    return make


@pytest.fixture(scope="session")
def start_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Api]]:
    """Start API processes, which end with the session at the latest."""
    started: list[Api] = []

    def start(database_url: str, *, scheme: str = "http", wait: bool = True, **settings: str) -> Api:
        log = tmp_path_factory.mktemp("api") / "log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [CHRONICLE, "serve", "api"], env=environment(database_url, **settings), stderr=file
            )
        api = Api(process, log, "", database_url)
        started.append(api)
        until(lambda: process.poll() is not None or any("port" in line for line in api.lines()), "listening")
        if process.poll() is not None:
            pytest.fail(f"ended with {process.returncode}: {log.read_text()}")
        port = next(line["port"] for line in api.lines() if "port" in line)
        api.url = f"{scheme}://127.0.0.1:{port}"
        if wait:
            until(lambda: httpx.get(f"{api.url}/readyz").status_code == 200, "ready")
        return api

    yield start
    for api in started:
        api.process.kill()
        api.process.wait()


@pytest.fixture(scope="session")
def api(new_database: Callable[[], str], start_api: Callable[..., Api]) -> Api:
    """The API that most tests share; each works on accounts of its own."""
    return start_api(new_database(), BODY_LIMIT=str(1 << 20))


@pytest.fixture
def client(api: Api) -> Iterator[httpx.Client]:
    """A client of the shared API."""
    with api.client() as client:
        yield client


@pytest.fixture
def ledger(client: httpx.Client) -> Ledger:
    """Requests to the shared API."""
    return Ledger(client)
