"""The daemon: which collectors run and where, as accounts and configuration come and go."""

from __future__ import annotations

import asyncio
import contextlib
import operator
import time
from collections.abc import Callable, Mapping, Set
from functools import partial

import structlog

from exporter.aws import inventory
from exporter.aws.accounts import Accounts, needs_region
from exporter.aws.imds import Host
from exporter.aws.session import Aws
from exporter.changes import ChangeQueue, Following
from exporter.config import Account, Config
from exporter.connectivity import Dialer, calls, listeners
from exporter.dns import Line, Pace, Prober, Server, Unreachable, servers
from exporter.facts import Configured
from exporter.flowlogs import attribute
from exporter.flowlogs.attribute import Allowed
from exporter.flowlogs.ingest import Ingest, Report
from exporter.flowlogs.sources.athena import Settings as AthenaSettings
from exporter.flowlogs.sourcing import Settings
from exporter.held import Key, Limits
from exporter.model import (
    Endpoint,
    Inventory,
    Scope,
    Unavailable,
    by_port,
    judged,
    last_known,
    ports_of,
)
from exporter.publisher import Publisher
from exporter.queue import FlowLogClients, FlowLogs, Queue
from exporter.schedule import Schedule, Task, Threads, where
from exporter.store import Store, StoreError
from exporter.trail import Trail

log = structlog.get_logger()

EVERYWHERE = Scope("", "")
ACCOUNTS, INVENTORY, DNS, FLOW_LOGS = "accounts", "inventory", "dns", "flow_logs"
CHANGES = "changes"
CONNECTIVITY = "connectivity"
# What people configure is asked for at every so many passes of the inventory.
CONFIGURATION_EVERY = 5
# What a queue brings comes at once: it is read more often than LookupEvents is asked, in seconds.
EVENTS_EVERY = 30.0


def reachable(config: Config, host: Host | None) -> frozenset[str]:
    """Return the VPCs that this host may judge by connecting: its own, and those it can reach."""
    return frozenset({host.vpc_id} if host else ()) | set(config.collectors.connectivity.vpcs)


def limits(config: Config, host: Host | None) -> Limits:
    """Return for how long what was seen may be judged, and what else matters to judging."""
    interval = config.collectors.inventory.interval
    return Limits(
        states=max(3 * interval, 900.0),
        configuration=max(3 * CONFIGURATION_EVERY * interval, 900.0),
        tag_labels=config.metrics.tag_labels,
        allowed=flow_log_settings(config).allowed,
        endpoints=config.endpoints,
        off=switched_off(config),
        reachable=reachable(config, host),
    )


def switched_off(config: Config) -> frozenset[str]:
    """Return the collectors that do not run: what they would see is not judged."""
    runs = {
        DNS: config.collectors.dns.enabled,
        FLOW_LOGS: config.collectors.flow_logs.enabled,
        CHANGES: config.collectors.changes.enabled,
        CONNECTIVITY: config.collectors.connectivity.enabled,
    }
    return frozenset(name for name, enabled in runs.items() if not enabled)


def flow_log_settings(config: Config, history: float = 0.0) -> Settings:
    """Return what the configuration says of flow logs.

    Records of the last `history` seconds before a flow log is first seen count too.
    """
    flow_logs = config.collectors.flow_logs
    athena = flow_logs.athena
    return Settings(
        flow_logs.interval,
        flow_logs.lookback,
        budget=max(1.5 * flow_logs.interval, 60.0),
        allowed=Allowed(flow_logs.source, flow_logs.sources),
        dollars_per_day=flow_logs.budget_dollars_per_day,
        athena=AthenaSettings(athena.workgroup, athena.database, athena.output) if athena else None,
        history=history,
    )


class Daemon:
    """Collects for ever. Blocking calls run in a bounded pool of threads, never on the loop.

    `history` is how many seconds back flow logs are read when they are first seen.
    Raises dns.exception.DNSException or OSError where no resolver is configured and this host has
    none.
    """

    def __init__(
        self,
        config: Config,
        aws: Aws,
        store: Store,
        host: Host | None,
        publisher: Publisher,
        clock: Callable[[], float] = time.time,
        history: float = 0.0,
    ) -> None:
        self._aws = aws
        self._history = history
        self._store = store
        self._host = host
        self._publisher = publisher
        self._clock = clock
        self._threads = Threads()
        self._schedule = Schedule(publisher)
        self._pace = Pace()
        self._lines: dict[str, Line] = {}
        self._readers: dict[Scope, FlowLogs] = {}
        self._trails: dict[Scope, Trail] = {}
        self._dialer: Dialer | None = None
        self._accounts = Accounts(aws, clock, config, 0.0)
        self._configure(config)

    async def run(self, stop: asyncio.Event) -> None:
        """Collect until `stop` is set; what is in flight then is dropped, not waited for."""
        self._begin()
        publishing = asyncio.create_task(self._publisher.run())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({publishing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if publishing.done():
                publishing.result()  # a bug: better to end loudly than to serve what is stale
        finally:
            publishing.cancel()
            stopping.cancel()
            await self._schedule.stop()
            self._threads.shutdown()

    async def reload(self, config: Config) -> None:
        """Go on with another configuration; what it still watches goes on as soon as it is found.

        Until then it goes on as before: what cannot be asked must not stop what can be seen.
        Raises NoAccess where it leaves the Region to boto3's settings and these have none,
        dns.exception.DNSException or OSError where no resolver is configured and this host has
        none; and changes nothing then.
        """
        await asyncio.to_thread(self._aws.require, needs_region(config))
        self._configure(config)
        await self._schedule.stop(lambda key: key[0] == ACCOUNTS or key[1] == EVERYWHERE)
        await self._schedule.stop(lambda key: key[0] in switched_off(config))
        self._publisher.keep_queues(FLOW_LOGS, config.collectors.flow_logs.notifications)
        self._publisher.keep_queues(CHANGES, config.collectors.changes.notifications)
        self._begin()

    def _configure(self, config: Config) -> None:
        dns = config.collectors.dns
        found = servers(dns.resolvers, self._host) if dns.enabled else ()
        self._servers: tuple[Server, ...] = found
        self._config = config
        if config.collectors.connectivity.enabled and self._dialer is None:
            self._dialer = Dialer(self._clock)  # reads the authorities that this host trusts
        # Half an interval less: passes do not come on the second.
        age = (CONFIGURATION_EVERY - 0.5) * config.collectors.inventory.interval
        self._configuration_age = age
        self._accounts = Accounts(self._aws, self._clock, config, age, self._accounts)
        # What was opened under another configuration is opened anew.
        self._opened: set[Scope] = set()
        self._publisher.limit(limits(config, self._host))

    def _flow_log_settings(self) -> Settings:
        return flow_log_settings(self._config, self._history)

    def _begin(self) -> None:
        interval = self._config.collectors.inventory.interval
        self._schedule.start(Task((ACCOUNTS, EVERYWHERE, ""), interval, self._find_accounts))

    def _read_queues(self) -> None:
        """Read the queues, once there is an account for what they tell."""
        running, aws, threads = self._schedule.running(), self._aws, self._threads
        flow_logs, changes = self._config.collectors.flow_logs, self._config.collectors.changes
        for url in flow_logs.notifications if flow_logs.enabled else ():
            key = (FLOW_LOGS, EVERYWHERE, url)
            if key not in running:
                interval = flow_logs.interval
                queue = Queue(url, interval, aws, threads, self._readers, self._publisher)
                self._schedule.start(Task(key, interval, queue.read))
        for url in changes.notifications if changes.enabled else ():
            key = (CHANGES, EVERYWHERE, url)
            if key not in running:
                interval = min(changes.interval, EVENTS_EVERY)
                trails, clock = self._trails, self._clock
                events = ChangeQueue(url, interval, aws, threads, trails, self._publisher, clock)
                self._schedule.start(Task(key, interval, events.read))

    async def _find_accounts(self) -> Mapping[str, str]:
        """Follow the accounts as they come and go: each has a task of its own."""
        found = await self._threads.run((ACCOUNTS, EVERYWHERE, ""), self._accounts.find)
        interval = self._config.collectors.inventory.interval
        running = self._schedule.running()
        for account, ways in found.accounts.items():
            key = (ACCOUNTS, Scope(account, ""), "")
            if key not in running:
                follow = partial(self._find_regions, account, ways)
                self._schedule.start(Task(key, interval, follow))
        if found.complete:
            watched = {scope.account for scope in self._publisher.scopes()}
            watched |= {key[1].account for key in running if key[0] == ACCOUNTS} - {""}
            for account in watched - found.accounts.keys():
                await self._close(account, frozenset())
                await self._schedule.stop(partial(operator.eq, (ACCOUNTS, Scope(account, ""), "")))
                self._publisher.forget(Scope(account, ""))
        return found.problems

    async def _find_regions(self, account: str, ways: tuple[Account, ...]) -> Mapping[str, str]:
        """Follow the Regions of an account as they come and go."""
        key = (ACCOUNTS, Scope(account, ""), "")
        found = await self._threads.run(key, partial(self._accounts.regions, account, ways))
        for region in found.reached:
            scope = Scope(account, region)
            if scope not in self._opened:
                await self._open(scope)
                self._opened.add(scope)
        if found.complete:
            await self._close(account, found.reached.keys())
        return found.problems

    async def _close(self, account: str, regions: Set[str]) -> None:
        """Stop collecting in the account's other Regions."""
        for scope in self._publisher.scopes():
            if scope.account == account and scope.region not in regions:
                log.info("no longer watched", **where(scope))
                await self._schedule.stop(partial(_is_of, scope))
                self._opened.discard(scope)
                self._aws.forget(scope)
                self._readers.pop(scope, None)
                self._trails.pop(scope, None)
                self._publisher.forget(scope)

    async def _open(self, scope: Scope) -> None:
        """Begin to collect in an account and Region, or go on with another configuration."""
        await self._schedule.stop(partial(_is_of, scope))
        collectors = self._config.collectors
        self._publisher.watch(scope)
        listed = asyncio.Event()
        client = partial(self._aws.client, scope)
        discovery, age = self._config.discovery, self._configuration_age

        async def list_inventory() -> Mapping[str, str]:
            previous = self._publisher.listed(scope)

            def collect() -> Inventory:
                return inventory.collect(client, scope, self._clock, previous, discovery, age)

            put = self._publisher.put_inventory
            try:
                found = await self._threads.run((INVENTORY, scope, ""), collect, put)
            finally:
                listed.set()
            return found.problems()

        async def find_names() -> Mapping[str, str]:
            seen = await self._listed(scope, listed)
            endpoints = last_known(seen.endpoints)
            if endpoints is None:
                return _needed(seen, "endpoints")
            await self._follow_resolvers(scope, {e.vpc_id for e in endpoints.values() if e.has_dns})
            return {}

        async def connect() -> Mapping[str, str]:
            assert self._dialer
            return await self._connect(self._dialer, await self._listed(scope, listed))

        tasks = [Task((INVENTORY, scope, ""), collectors.inventory.interval, list_inventory)]
        if collectors.flow_logs.enabled:
            tasks.append(await self._flow_logs(scope, listed))
        if collectors.changes.enabled:
            tasks.append(self._changes(scope))
        connectivity = collectors.connectivity
        if connectivity.enabled:
            tasks.append(Task((CONNECTIVITY, scope, ""), connectivity.interval, connect))
        else:
            self._publisher.drop_dials(scope)
        if collectors.dns.enabled:
            tasks.append(Task((DNS, scope, ""), collectors.dns.interval, find_names))
        else:
            self._publisher.keep_resolvers(frozenset(), scope)
        self._schedule.start(*tasks)
        self._read_queues()

    async def _flow_logs(self, scope: Scope, listed: asyncio.Event) -> Task:
        """Return the pass that counts the flow logs of an account and Region."""
        flow_logs = self._config.collectors.flow_logs
        reader = FlowLogs(
            Ingest(scope, self._store, self._clock, self._flow_log_settings()),
            FlowLogClients(self._aws, scope, flow_logs.archive),
        )
        self._readers[scope] = reader
        put_report = partial(self._publisher.put_report, scope)
        if not self._publisher.reported(scope):
            # What cannot be read now is tried again at each pass.
            with contextlib.suppress(StoreError):
                key = (FLOW_LOGS, scope, "committed")
                await self._threads.run(key, reader.ingest.committed, put_report)

        async def read() -> Mapping[str, str]:
            seen = await self._listed(scope, listed)
            index = attribute.index(seen, reader.ingest.settings.allowed)
            if index is None:
                return _needed(seen, "endpoints", "interfaces", "flow_logs")

            def run() -> Report:
                return reader.ingest.run(reader.clients, index)

            report: Report = await self._threads.run((FLOW_LOGS, scope, ""), run, put_report)
            return report.problems()

        return Task((FLOW_LOGS, scope, ""), flow_logs.interval, read)

    def _changes(self, scope: Scope) -> Task:
        """Return the pass that follows who changes what in an account and Region."""
        if scope not in self._trails:
            self._trails[scope] = Trail(scope, self._clock())
        interval = self._config.collectors.changes.interval
        following = Following(
            self._trails[scope],
            partial(self._aws.client, scope),
            self._threads,
            self._publisher,
            self._clock,
            interval,
        )
        return Task((CHANGES, scope, ""), interval, following.read)

    async def _follow_resolvers(self, scope: Scope, vpc_ids: Set[str]) -> None:
        """Ask each resolver that answers for one of the VPCs, in a task of its own.

        So one that is dead delays no other.
        """
        wanted = {s.label: s for s in self._servers if s.concerns(vpc_ids)}
        for key in self._schedule.running():
            if key[:2] == (DNS, scope) and key[2] not in {"", *wanted}:
                await self._schedule.stop(partial(operator.eq, key))
        self._publisher.keep_resolvers({"", *wanted}, scope)
        interval = self._config.collectors.dns.interval
        for label, server in wanted.items():
            key = (DNS, scope, label)
            if key not in self._schedule.running():
                line = self._lines.setdefault(label, Line())
                probe = partial(self._probe, scope, Prober(server, self._pace, self._clock, line))
                self._schedule.start(Task(key, interval, probe))

    async def _probe(self, scope: Scope, prober: Prober) -> Mapping[str, str]:
        seen = self._publisher.inventory(scope)
        if seen is None:
            return {}
        try:
            lookups = await prober.run(seen)
        except ExceptionGroup as failed:
            unsent, others = failed.split(Unreachable)
            if others or not unsent:
                raise
            return {"queries": str(unsent.exceptions[0])}
        self._publisher.put_lookups(scope, prober.server.label, lookups)
        if prober.unasked:
            return {"resolver": f"it answers nothing; {prober.unasked} names were not asked for"}
        return {}

    async def _connect(self, dialer: Dialer, seen: Inventory) -> Mapping[str, str]:
        """Connect to the endpoints of a scope that this host is in a position to judge."""
        reach = reachable(self._config, self._host)
        if not reach:
            return {"position": "this host's VPC is not known, and no other one is configured"}
        missing = _needed(seen, "endpoints", "interfaces")
        if missing:
            return missing
        listening = listeners(filter(None, map(self._publisher.listed, self._publisher.scopes())))

        configured = Configured(self._config.endpoints)

        def ports(endpoint: Endpoint) -> tuple[int, ...]:
            told = configured.expected(endpoint).ports
            return ports_of(endpoint.service_name, told, listening.get(endpoint.service_name, ()))

        wanted = calls(seen, reach, ports, self._config.collectors.connectivity.tls_ports)
        dials = await dialer.run(wanted)
        self._publisher.put_dials(seen.scope, dials)
        blind = [d for of in by_port(dials) for d in judged(of)[1]]
        if blind:
            return {"connections": f"{len(blind)} could not be tried: {blind[0].problem}"}
        return {}

    async def _listed(self, scope: Scope, listed: asyncio.Event) -> Inventory:
        """Return the inventory once the first pass of it has ended; raises OSError if it broke."""
        await listed.wait()
        seen = self._publisher.inventory(scope)
        if seen is None:
            raise OSError("nothing has been listed yet")
        return seen


def _is_of(scope: Scope, key: Key) -> bool:
    return key[1] == scope


def _needed(seen: Inventory, *names: str) -> dict[str, str]:
    """Return why a pass that needs these parts of the inventory cannot be made."""
    return {
        name: part.reason
        for name, part in seen.listings()
        if name in names and isinstance(part, Unavailable)
    }
