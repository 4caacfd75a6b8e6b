"""The one place that holds what the collectors found, and publishes it as a frozen snapshot.

Everything here runs on the event loop but the rendering. A scrape only ever reads `snapshot`.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import TypeAlias

from exporter import __version__, exposition
from exporter.aws.session import RequestKey
from exporter.exposition import Exposition
from exporter.flowlogs import attribute
from exporter.flowlogs.ingest import Report
from exporter.model import Inventory, Lookup, Scope, last_known
from exporter.samples import samples
from exporter.world import CollectorStatus, Estate, World

Key: TypeAlias = tuple[str, Scope, str]

# Passes that end together are published together; and the clock alone changes something (ages,
# backlogs, process metrics), so nothing is older than this.
COALESCE = 0.1
AT_LEAST_EVERY = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """For how many seconds a sight may be judged, and the tags that become labels of `_info`."""

    states: float = 900.0
    configuration: float = 900.0
    tag_labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A World, its exposition, and whether every collector has reported by then."""

    world: World
    exposition: Exposition
    ready: bool
    waiting_for: tuple[str, ...] = ()


class Publisher:
    """Holds the latest of every collector."""

    def __init__(
        self,
        clock: Callable[[], float],
        requests: Callable[[], Mapping[RequestKey, int]],
        store_ok: Callable[[], bool],
        reload_ok: Callable[[], bool] = lambda: True,
    ) -> None:
        self._clock = clock
        self._limits = Limits()
        self._requests = requests
        self._store_ok = store_ok
        self._reload_ok = reload_ok
        self._dirty = asyncio.Event()
        self._was_ready = False
        self._expected: set[Key] = set()
        self._statuses: dict[Key, CollectorStatus] = {}
        self._scopes: set[Scope] = set()
        self._inventories: dict[Scope, Inventory] = {}
        # Endpoints that another account owns, with the owner: it may list them too.
        self._foreign: dict[Scope, Mapping[str, str]] = {}
        self._lookups: dict[tuple[Scope, str], tuple[Lookup, ...]] = {}
        self._reports: dict[Scope, Report] = {}
        self.snapshot = self._render(self._world())
        self.ready = asyncio.Event()

    def expect(self, *keys: Key) -> None:
        """Name passes that have to report before the exporter is ready."""
        self._expected.update(keys)

    def limit(self, limits: Limits) -> None:
        """Judge by these limits from now on."""
        self._limits = limits
        self._dirty.set()

    def watch(self, scope: Scope) -> None:
        """Take what is found of a scope from now on."""
        self._scopes.add(scope)

    def scopes(self) -> frozenset[Scope]:
        """Return the scopes that are watched."""
        return frozenset(self._scopes)

    def forget(self, scope: Scope) -> None:
        """Drop everything of a scope, what its last passes are still to bring too."""
        self._scopes.discard(scope)
        self._inventories.pop(scope, None)
        self._foreign.pop(scope, None)
        self._reports.pop(scope, None)
        self._drop(lambda key: key[1] == scope)
        self._dirty.set()

    def keep_resolvers(self, labels: Set[str], scope: Scope | None = None) -> None:
        """Drop what all other resolvers have answered, in one scope or in all."""

        def is_other(key: Key) -> bool:
            return key[0] == "dns" and key[2] not in labels and scope in (None, key[1])

        self._drop(is_other)

    def _drop(self, which: Callable[[Key], bool]) -> None:
        for key in [key for key in self._expected | self._statuses.keys() if which(key)]:
            self._expected.discard(key)
            self._statuses.pop(key, None)
            self._lookups.pop((key[1], key[2]), None)
            self._dirty.set()

    def listed(self, scope: Scope) -> Inventory | None:
        """Return the scope's inventory as it was found; None before the first pass."""
        return self._inventories.get(scope)

    def inventory(self, scope: Scope) -> Inventory | None:
        """Return the scope's inventory as it may be judged now; None before the first pass.

        An endpoint in a shared VPC that several accounts list is its owner's where the owner is
        watched, else the first account's.
        """
        held = self._inventories.get(scope)
        if held is None:
            return None
        limits = self._limits
        settled = held.settled(self._clock(), limits.states, limits.configuration)
        elsewhere = frozenset(
            i for i, owner in self._foreign[scope].items() if self._listed_before(scope, i, owner)
        )
        return settled.without(elsewhere) if elsewhere else settled

    def _listed_before(self, scope: Scope, endpoint_id: str, owner: str) -> bool:
        for other, inventory in self._inventories.items():
            if other.region != scope.region or other == scope:
                continue
            first = other.account == owner or (
                other.account < scope.account and endpoint_id in self._foreign[other]
            )
            if first and endpoint_id in (last_known(inventory.endpoints) or {}):
                return True
        return False

    def put_inventory(self, inventory: Inventory) -> None:
        """Take a pass."""
        scope = inventory.scope
        if scope in self._scopes:
            self._inventories[scope] = inventory
            self._foreign[scope] = {
                e.id: e.owner
                for e in (last_known(inventory.endpoints) or {}).values()
                if e.owner not in ("", scope.account)
            }

    def put_lookups(self, scope: Scope, resolver: str, lookups: tuple[Lookup, ...]) -> None:
        """Take a resolver's pass."""
        if scope in self._scopes:
            self._lookups[scope, resolver] = lookups

    def put_report(self, scope: Scope, report: Report) -> None:
        """Take what has been committed of the flow logs."""
        if scope in self._scopes:
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
        lookups: dict[Scope, list[Lookup]] = {}
        for (scope, _resolver), found in sorted(self._lookups.items(), key=lambda item: item[0]):
            fresh = (x for x in found if now - x.as_of <= self._limits.states)
            lookups.setdefault(scope, []).extend(fresh)
        return World(
            now,
            __version__,
            platform.python_version(),
            tuple(self._estate(s, tuple(lookups.get(s, ()))) for s in sorted(self._inventories)),
            tuple(self._statuses[key] for key in sorted(self._statuses)),
            self._requests(),
            self._store_ok(),
            self._limits.tag_labels,
            self._reload_ok(),
        )

    def _estate(self, scope: Scope, lookups: tuple[Lookup, ...]) -> Estate:
        inventory = self.inventory(scope)
        assert inventory is not None
        report = self._reports.get(scope, Report())
        return Estate(scope, inventory, attribute.index(inventory), lookups, report)

    def _render(self, world: World) -> Snapshot:
        waiting = tuple(
            " ".join(filter(None, (collector, scope.account, scope.region, part)))
            for collector, scope, part in sorted(self._expected - self._statuses.keys())
        )
        body = exposition.render(samples(world), exposition.process_families())
        # Once ready it stays so: an account that is found later must not stop the scrapes.
        self._was_ready = self._was_ready or (not waiting and bool(self._expected))
        return Snapshot(world, body, self._was_ready, waiting)
