"""How the service is: one look at each component, bounded in time and shared by all who ask within a second.

`down` where a vital component (the database) is down, `degraded` where anything is less than ok, else `ok`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from chronicle_ledger import logs
from chronicle_ledger.domain.errors import LedgerError

log = logs.get(__name__)

Status = Literal["ok", "degraded", "down"]

TIMEOUT = 1.5
"""Seconds after which a component that has not answered counts as down."""

FRESH = 1.0
"""Seconds that a finding is good for: probes of load balancers must not become load."""

WARM_UP = 5.0
"""Seconds after its start in which a process may wait for components that it can do without."""

PATIENCE = 1.0
"""Seconds for which one question whether it is ready may wait meanwhile: the next one may come seconds later."""

BETWEEN_LOOKS = 0.1

UNTOLD = "it could not be looked at; the log of this instance says why"
"""What is answered where the reason is a driver's or a server's."""


class Component(Protocol):
    """Something that the service depends on."""

    name: str
    vital: bool

    async def probe(self) -> Mapping[str, Any]:
        """Its `status` (ok, degraded, down) and figures. Whatever it raises means down."""


class _Watched:
    """A component's last finding, and the look that is under way."""

    def __init__(self, component: Component, clock: Callable[[], float]) -> None:
        self.component = component
        self._clock = clock
        self._finding: Mapping[str, Any] = {"status": "down", "error": "not looked at yet"}
        self._found_at = float("-inf")
        self._look: asyncio.Task[None] | None = None
        self._logged = ""
        self.heard = False
        """Whether the component has once been found up, by itself and not by an error."""

    @property
    def last(self) -> Mapping[str, Any]:
        """The finding that is there."""
        return self._finding

    async def finding(self, fresh: float = FRESH) -> Mapping[str, Any]:
        if self._clock() - self._found_at < fresh:
            return self._finding
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._probe(), name=f"health: {self.component.name}")
        # Not cancelled when it takes too long: a driver's answer to cancellation may take longer than the probe.
        done, _ = await asyncio.wait({self._look}, timeout=TIMEOUT)
        if not done:
            self._record({"status": "down", "error": f"no answer within {TIMEOUT:g} s"})
        return self._finding

    async def _probe(self) -> None:
        try:
            self._record(await self.component.probe())
        except LedgerError as error:  # the ledger's own words
            self._record({"status": "down", "error": error.message})
        except Exception as error:  # noqa: BLE001  # of any kind, the component is of no use
            # Those who ask have no key. What a driver says of hosts, users and statements is for the log.
            said = str(error).strip() or type(error).__name__
            if said != self._logged:
                log.warning("component not looked at", component=self.component.name, error=said)
                self._logged = said
            self._record({"status": "down", "error": UNTOLD})

    def _record(self, finding: Mapping[str, Any]) -> None:
        if finding.get("status") != self._finding.get("status"):
            log.info("component changed", component=self.component.name, **finding)
        self._finding, self._found_at = finding, self._clock()
        self.heard |= finding.get("status") != "down" and "error" not in finding

    def cancel(self) -> None:
        if self._look is not None:
            self._look.cancel()


class Health:
    """The components of a process. `about` (instance, region, version) is answered with each report."""

    def __init__(
        self, components: Sequence[Component], about: Mapping[str, Any], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._watched = [_Watched(component, clock) for component in components]
        self._about = dict(about)
        self._clock = clock
        self._began = clock()

    async def report(self) -> dict[str, Any]:
        """The document of /health; takes `TIMEOUT` seconds at most."""
        found = await asyncio.gather(*(watched.finding() for watched in self._watched))
        components = {
            watched.component.name: dict(finding) for watched, finding in zip(self._watched, found, strict=True)
        }
        return {"status": self._overall(components), "components": components, **self._about}

    def _overall(self, components: Mapping[str, Mapping[str, Any]]) -> Status:
        overall: Status = "ok"
        for watched in self._watched:
            status = components[watched.component.name].get("status", "down")
            if status == "down" and watched.component.vital:
                return "down"
            if status != "ok":
                overall = "degraded"
        return overall

    async def vital_reason(self) -> str | None:
        """Why no work can be done (a vital component is down); None where it can."""
        for watched in self._watched:
            if watched.component.vital:
                finding = await watched.finding()
                if finding.get("status") == "down":
                    return f"{watched.component.name}: {finding.get('error', 'down')}"
        return None

    @property
    def restoring(self) -> bool:
        """Whether the last look found a backup that is being put back. Asks nothing, so that each request may look."""
        return any(watched.last.get("restoring") for watched in self._watched)

    async def early_reason(self) -> str | None:
        """Why it is too early for work: a component has not been heard of since the start. None past `WARM_UP`.

        A process that is still opening its connections takes its own slowness for an outage of others. Were it sent
        requests, its /health would say so to everybody.
        """
        asked = self._clock()
        while unheard := [it for it in self._watched if not it.heard]:
            now = self._clock()
            if now - self._began >= WARM_UP:
                return None
            if now - asked >= PATIENCE:
                return f"just started, not heard of yet: {', '.join(it.component.name for it in unheard)}"
            await asyncio.gather(*(it.finding(BETWEEN_LOOKS) for it in unheard))
            if not all(it.heard for it in unheard):
                await asyncio.sleep(BETWEEN_LOOKS)
        return None

    def close(self) -> None:
        """Give up looks that are still under way."""
        for watched in self._watched:
            watched.cancel()
