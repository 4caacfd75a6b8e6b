"""The one place that holds what the collectors found, and publishes it as a frozen snapshot.

Everything here runs on the event loop but the rendering. A scrape only ever reads `snapshot`.
"""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Callable, Collection, Mapping, Set
from dataclasses import dataclass

import structlog

from exporter import __version__, analysis, exposition
from exporter.aws import cost
from exporter.aws.session import RequestKey
from exporter.exposition import Exposition
from exporter.facts import facts, unmatched
from exporter.flowlogs.ingest import Report
from exporter.held import Held, Key, Limits
from exporter.model import Diagnosis, Dial, Facts, Inventory, Lookup, Recorded, Scope, last_known
from exporter.samples import samples
from exporter.world import CollectorStatus, World

log = structlog.get_logger()

# Passes that end together are published together; and the clock alone changes something (ages,
# backlogs, process metrics), so nothing is older than this.
COALESCE = 0.1
AT_LEAST_EVERY = 10.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A World, what is judged of it, its exposition, and whether every collector has reported.

    Metrics, pages, API and command line all show these diagnoses.
    """

    world: World
    facts: Facts
    diagnoses: tuple[Diagnosis, ...]
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
        spent: Callable[[], Mapping[tuple[str, str], float]] = dict,
    ) -> None:
        self._clock = clock
        self._held = Held()
        self._requests = requests
        self._store_ok = store_ok
        self._reload_ok = reload_ok
        self._spent = spent
        self._dirty = asyncio.Event()
        self._was_ready = False
        self._unmatched: tuple[str, ...] = ()
        self.snapshot = self._render(self._held)
        self.ready = asyncio.Event()

    def expect(self, *keys: Key) -> None:
        """Name passes that have to report before the exporter is ready."""
        self._held.expected.update(keys)

    def limit(self, limits: Limits) -> None:
        """Judge by these limits from now on; drop what collectors found that are off now."""
        self._held.limits = limits
        if "flow_logs" in limits.off:
            self._held.reports.clear()
        if "changes" in limits.off:
            self._held.changes.clear()
        self._drop(lambda key: key[0] in limits.off)
        self._dirty.set()

    def watch(self, scope: Scope) -> None:
        """Take what is found of a scope from now on."""
        self._held.scopes.add(scope)

    def scopes(self) -> frozenset[Scope]:
        """Return the scopes that are watched."""
        return frozenset(self._held.scopes)

    def forget(self, scope: Scope) -> None:
        """Drop everything of a scope, what its last passes are still to bring too."""
        self._held.scopes.discard(scope)
        self._held.inventories.pop(scope, None)
        self._held.foreign.pop(scope, None)
        self._held.reports.pop(scope, None)
        self._held.changes.pop(scope, None)
        self._held.dials.pop(scope, None)
        self._drop(lambda key: key[1] == scope)
        self._dirty.set()

    def keep_resolvers(self, labels: Set[str], scope: Scope | None = None) -> None:
        """Drop what all other resolvers have answered, in one scope or in all."""

        def is_other(key: Key) -> bool:
            return key[0] == "dns" and key[2] not in labels and scope in (None, key[1])

        self._drop(is_other)

    def _drop(self, which: Callable[[Key], bool]) -> None:
        for key in [key for key in self._held.expected | self._held.statuses.keys() if which(key)]:
            self._held.expected.discard(key)
            self._held.statuses.pop(key, None)
            self._held.lookups.pop((key[1], key[2]), None)
            self._dirty.set()

    def listed(self, scope: Scope) -> Inventory | None:
        """Return the scope's inventory as it was found; None before the first pass."""
        return self._held.inventories.get(scope)

    def inventory(self, scope: Scope) -> Inventory | None:
        """Return the scope's inventory as it may be judged now; None before the first pass."""
        return self._held.inventory(scope, self._clock())

    def put_inventory(self, inventory: Inventory) -> None:
        """Take a pass."""
        scope = inventory.scope
        if scope in self._held.scopes:
            self._held.inventories[scope] = inventory
            self._held.foreign[scope] = {
                e.id: e.owner
                for e in (last_known(inventory.endpoints) or {}).values()
                if e.owner not in ("", scope.account)
            }

    def put_lookups(self, scope: Scope, resolver: str, lookups: tuple[Lookup, ...]) -> None:
        """Take a resolver's pass."""
        if scope in self._held.scopes:
            self._held.lookups[scope, resolver] = lookups

    def put_dials(self, scope: Scope, dials: tuple[Dial, ...]) -> None:
        """Take what came of connecting from here."""
        if scope in self._held.scopes:
            self._held.dials[scope] = dials

    def drop_dials(self, scope: Scope) -> None:
        """Drop what came of connecting from here: it is no longer tried."""
        self._held.dials.pop(scope, None)
        self._drop(lambda key: key[:2] == ("connectivity", scope))

    def reported(self, scope: Scope) -> bool:
        """Whether something is held of the scope's flow logs."""
        return scope in self._held.reports

    def put_report(self, scope: Scope, report: Report) -> None:
        """Take what has been committed of the flow logs, unless something newer is held.

        Passes and queues report beside each other, and no counter may go back.
        """
        held = self._held.reports.get(scope)
        if "flow_logs" in self._held.limits.off:
            return
        if scope in self._held.scopes and (held is None or held.number <= report.number):
            self._held.reports[scope] = report

    def put_changes(self, scope: Scope, recorded: Recorded) -> None:
        """Take what is remembered of a scope's changes."""
        if scope in self._held.scopes and "changes" not in self._held.limits.off:
            self._held.changes[scope] = recorded

    def put_status(self, key: Key, duration: float, problems: Mapping[str, str]) -> None:
        """Take how a pass went, and have it published with what it brought."""
        if key[0] in self._held.limits.off:
            return
        now = self._clock()
        old = self._held.statuses.get(key)
        last = now if not problems else old.last_success if old else None
        collector, scope, part = key
        self._held.statuses[key] = CollectorStatus(
            collector, scope, part, now, duration, last, problems
        )
        self._dirty.set()

    def keep_queues(self, collector: str, urls: Collection[str]) -> None:
        """Drop what is held of all other queues of a collector."""
        self._drop(lambda key: key[:2] == (collector, Scope("", "")) and key[2] not in urls)

    def touch(self) -> None:
        """Have what changed elsewhere published soon."""
        self._dirty.set()

    async def run(self) -> None:
        """Publish for ever."""
        took = 0.0
        while True:
            try:
                async with asyncio.timeout(AT_LEAST_EVERY):
                    await self._dirty.wait()
            except TimeoutError:
                pass
            # A quarter of the time at most: a large estate takes seconds, and scrapes want some.
            await asyncio.sleep(min(max(COALESCE, 3 * took), AT_LEAST_EVERY))
            self._dirty.clear()
            began = time.monotonic()
            # Off the loop: a large estate takes long enough to delay a scrape.
            self.snapshot = await asyncio.to_thread(self._render, self._held.copy())
            took = time.monotonic() - began
            self._tell(unmatched(self.snapshot.world))
            if self.snapshot.ready:
                self.ready.set()

    def _tell(self, endpoint_ids: tuple[str, ...]) -> None:
        """Warn of configured endpoints that are not there: once, and when others are missing."""
        for endpoint_id in sorted(set(endpoint_ids) - set(self._unmatched)):
            log.warning(
                "the configuration names an endpoint that is not watched",
                endpoint_id=endpoint_id,
                remedy="correct its id under endpoints:, or remove the entry",
            )
        if endpoint_ids:
            self._unmatched = endpoint_ids

    def _render(self, held: Held) -> Snapshot:
        now = self._clock()
        requests = self._requests()
        waiting = tuple(sorted(held.expected - held.statuses.keys()))
        world = World(
            now,
            __version__,
            platform.python_version(),
            held.estates(now),
            tuple(held.statuses[key] for key in sorted(held.statuses)),
            requests,
            self._store_ok(),
            held.limits.tag_labels,
            self._reload_ok(),
            {**cost.of_requests(requests), **self._spent()},
            held.limits.reachable,
            held.limits.off,
            held.limits.endpoints,
            waiting,
        )
        found = facts(world)
        diagnoses = analysis.diagnose(found)
        body = exposition.render(samples(world, diagnoses), exposition.process_families())
        # Once ready it stays so: an account that is found later must not stop the scrapes.
        self._was_ready = self._was_ready or (not waiting and bool(held.expected))
        names = tuple(
            " ".join(filter(None, (collector, scope.account, scope.region, part)))
            for collector, scope, part in waiting
        )
        return Snapshot(world, found, diagnoses, body, self._was_ready, names)
