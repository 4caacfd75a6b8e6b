"""The one place that holds what the collectors found, and publishes it as a frozen snapshot.

Everything here runs on the event loop but the rendering. A scrape only ever reads `snapshot`.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from exporter import __version__, exposition
from exporter.aws.session import RequestKey
from exporter.exposition import Exposition
from exporter.flowlogs import attribute
from exporter.flowlogs.ingest import Report
from exporter.model import Inventory, Lookup, Scope
from exporter.samples import samples
from exporter.world import CollectorStatus, Estate, World

Key: TypeAlias = tuple[str, Scope, str]

# Passes that end together are published together; and the clock alone changes something (ages,
# backlogs, process metrics), so nothing is older than this.
COALESCE = 0.1
AT_LEAST_EVERY = 10.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A World, its exposition, and whether every collector has reported by then."""

    world: World
    exposition: Exposition
    ready: bool
    waiting_for: tuple[str, ...] = ()


class Publisher:
    """Holds the latest of every collector; `keep` is for how many seconds a sight may be judged."""

    def __init__(
        self,
        clock: Callable[[], float],
        keep: float,
        requests: Callable[[], Mapping[RequestKey, int]],
        store_ok: Callable[[], bool],
        reload_ok: Callable[[], bool] = lambda: True,
    ) -> None:
        self._clock = clock
        self._keep = keep
        self._requests = requests
        self._store_ok = store_ok
        self._reload_ok = reload_ok
        self._dirty = asyncio.Event()
        self._expected: set[Key] = set()
        self._statuses: dict[Key, CollectorStatus] = {}
        self._inventories: dict[Scope, Inventory] = {}
        self._lookups: dict[tuple[Scope, str], tuple[Lookup, ...]] = {}
        self._reports: dict[Scope, Report] = {}
        self.snapshot = self._render(self._world())
        self.ready = asyncio.Event()

    def expect(self, *keys: Key) -> None:
        """Name passes that have to report before the exporter is ready."""
        self._expected.update(keys)

    def inventory(self, scope: Scope) -> Inventory | None:
        """Return the scope's inventory as it may be judged now; None before the first pass."""
        held = self._inventories.get(scope)
        return held.settled(self._clock(), self._keep) if held else None

    def put_inventory(self, inventory: Inventory) -> None:
        """Take a pass; behind its failed parts stands what was last seen."""
        held = self._inventories.get(inventory.scope)
        self._inventories[inventory.scope] = inventory.carried(held)

    def put_lookups(self, scope: Scope, resolver: str, lookups: tuple[Lookup, ...]) -> None:
        """Take a resolver's pass."""
        self._lookups[scope, resolver] = lookups

    def put_report(self, scope: Scope, report: Report) -> None:
        """Take what has been committed of the flow logs."""
        self._reports[scope] = report

    def put_status(self, key: Key, duration: float, problems: Mapping[str, str]) -> None:
        """Take how a pass went, and have it published with what it brought."""
        now = self._clock()
        old = self._statuses.get(key)
        last = now if not problems else old.last_success if old else None
        collector, scope, part = key
        self._statuses[key] = CollectorStatus(collector, scope, part, now, duration, last, problems)
        self._dirty.set()

    def touch(self) -> None:
        """Have what changed elsewhere published soon."""
        self._dirty.set()

    async def run(self) -> None:
        """Publish for ever."""
        while True:
            try:
                async with asyncio.timeout(AT_LEAST_EVERY):
                    await self._dirty.wait()
            except TimeoutError:
                pass
            await asyncio.sleep(COALESCE)
            self._dirty.clear()
            # Off the loop: rendering a large estate takes long enough to delay a scrape.
            self.snapshot = await asyncio.to_thread(self._render, self._world())
            if self.snapshot.ready:
                self.ready.set()

    def _world(self) -> World:
        now = self._clock()
        return World(
            now,
            __version__,
            platform.python_version(),
            tuple(self._estate(scope, now) for scope in sorted(self._inventories)),
            tuple(self._statuses[key] for key in sorted(self._statuses)),
            self._requests(),
            self._store_ok(),
            self._reload_ok(),
        )

    def _estate(self, scope: Scope, now: float) -> Estate:
        inventory = self._inventories[scope].settled(now, self._keep)
        lookups = tuple(
            lookup
            for (of, _resolver), found in sorted(self._lookups.items(), key=lambda item: item[0])
            if of == scope
            for lookup in found
            if now - lookup.as_of <= self._keep
        )
        report = self._reports.get(scope, Report())
        return Estate(scope, inventory, attribute.index(inventory), lookups, report)

    def _render(self, world: World) -> Snapshot:
        waiting = tuple(
            " ".join(filter(None, (collector, scope.account, scope.region, part)))
            for collector, scope, part in sorted(self._expected - self._statuses.keys())
        )
        body = exposition.render(samples(world), exposition.process_families())
        return Snapshot(world, body, not waiting and bool(self._expected), waiting)
