"""What tests steer and ask of the simulator itself, under /_simulator/."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from exporter.simulator.clock import Clock
from exporter.simulator.dns import BEHAVIOURS
from exporter.simulator.faults import Fault, Faults
from exporter.simulator.state import PUBLIC, World


class Control:
    """Answers by name; a request is what was posted, None for a GET."""

    def __init__(self, world: World, faults: Faults, clock: Clock) -> None:
        self._world = world
        self._faults = faults
        self._clock = clock
        self.answers: dict[str, Callable[[Any], Any]] = {
            "calls": lambda _: dict(faults.calls),
            "calls/by-scope": lambda _: dict(faults.calls_by_scope),
            "truth": lambda request: clock.truth(**(request or {})),
            "clock": self._running,
            "faults": self._faulty,
            "dns": self._dns,
            "records": self._records,
            "scenarios": lambda _: {n: asdict(s) for n, s in world.scenarios.items()},
        }

    def _running(self, request: Any) -> Any:
        if request is not None:
            self._clock.running = request["running"]
        return {"running": self._clock.running}

    def _faulty(self, request: Any) -> Any:
        if request is not None:
            self._faults.faults = [Fault(**fault) for fault in request]
        return [asdict(fault) for fault in self._faults.faults]

    def _dns(self, request: Any) -> Any:
        """Set how views behave; the others behave as they should."""
        if request is not None:
            unknown = set(request.values()) - set(BEHAVIOURS)
            if unknown:
                raise ValueError(f"no behaviour: {', '.join(sorted(unknown))}")
            with self._world.lock:
                self._world.dns_behaviours = dict(request)
        return self._world.dns_behaviours

    def _records(self, request: Any) -> Any:
        """Publish names in the public DNS, as who owns their zone would."""
        with self._world.lock:
            known = self._world.names.setdefault(PUBLIC, {})
            known.update(request or {})
            return known
