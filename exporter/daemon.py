"""The daemon: every collector on its own interval, isolated from the others."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog

from exporter.aws import inventory
from exporter.aws.session import AWS_ERRORS, Aws, unavailable
from exporter.config import Config
from exporter.dns import Pace, Prober, Server
from exporter.flowlogs import attribute
from exporter.flowlogs.ingest import Ingest, Report
from exporter.model import Inventory, Scope, Unavailable, last_known
from exporter.publisher import Key, Publisher
from exporter.store import Store, StoreError

T = TypeVar("T")
log = structlog.get_logger()

EVERYWHERE = Scope("", "")
ACCOUNTS, INVENTORY, DNS, FLOW_LOGS = "accounts", "inventory", "dns", "flow_logs"
# Enough that some accounts that hang leave threads to the others.
AWS_THREADS = 32


@dataclass(frozen=True, slots=True)
class Task:
    """A pass that is repeated: it publishes what it finds and returns the problems it had."""

    key: Key
    interval: float
    run: Callable[[], Awaitable[Mapping[str, str]]]

    @property
    def deadline(self) -> float:
        """Seconds after which a pass has failed; long enough for boto3's own retries."""
        return max(3 * self.interval, 120.0)


def keep(config: Config) -> float:
    """Return for how many seconds what was seen may be judged before it is unknown."""
    return max(3 * config.collectors.inventory.interval, 900.0)


class Daemon:
    """Collects for ever. Blocking calls run in a bounded pool of threads, never on the loop."""

    def __init__(
        self,
        config: Config,
        aws: Aws,
        store: Store,
        servers: tuple[Server, ...],
        publisher: Publisher,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._aws = aws
        self._store = store
        self._servers = servers
        self._publisher = publisher
        self._clock = clock
        self._pool = ThreadPoolExecutor(AWS_THREADS, thread_name_prefix="aws")
        self._pace = Pace()
        self._random = random.Random()  # noqa: S311  # jitter, not a secret
        self._tasks: set[asyncio.Task[None]] = set()
        self._scopes: set[Scope] = set()
        self._in_flight: dict[Key, asyncio.Future[object]] = {}
        self._told: dict[Key, str] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Collect until `stop` is set; what is in flight then is dropped, not waited for."""
        discovery = Task(
            (ACCOUNTS, EVERYWHERE, ""), self._config.collectors.inventory.interval, self._accounts
        )
        self._publisher.expect(discovery.key)
        self._start(discovery)
        publishing = asyncio.create_task(self._publisher.run())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({publishing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if publishing.done():
                publishing.result()  # a bug: better to end loudly than to serve what is stale
        finally:
            everything = {*self._tasks, publishing, stopping}
            for task in everything:
                task.cancel()
            await asyncio.wait(everything, timeout=1)
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _start(self, task: Task) -> None:
        running = asyncio.create_task(self._repeat(task))
        self._tasks.add(running)
        running.add_done_callback(self._tasks.discard)

    async def _repeat(self, task: Task) -> None:
        """Run the task on its interval; jitter keeps many scopes from asking at once."""
        await asyncio.sleep(self._random.uniform(0, min(1.0, task.interval / 10)))
        while True:
            started = time.monotonic()
            problems: Mapping[str, str]
            try:
                async with asyncio.timeout(task.deadline):
                    problems = await task.run()
            except TimeoutError as error:
                problems = {"pass": str(error) or f"no end within {task.deadline:.0f} s"}
            except (*AWS_ERRORS, StoreError, OSError, ValueError) as error:
                problems = {"pass": unavailable(error).reason}
            except Exception as error:
                # A bug in one collector must not take the others down, nor go unseen.
                log.exception("collector broke", collector=task.key[0], **_where(task.key[1]))
                problems = {"pass": f"internal error: {type(error).__name__}: {error}"}
            duration = time.monotonic() - started
            self._tell(task.key, problems)
            self._publisher.put_status(task.key, duration, problems)
            pause = task.interval * self._random.uniform(0.95, 1.05) - duration
            await asyncio.sleep(max(pause, task.interval / 10))

    async def _accounts(self) -> Mapping[str, str]:
        scopes, problems = await self._in_thread((ACCOUNTS, EVERYWHERE, ""), self._aws.scopes)
        for scope in scopes:
            if scope not in self._scopes:
                await self._open(scope)
                self._scopes.add(scope)
        return problems

    async def _open(self, scope: Scope) -> None:
        """Begin to collect in an account and Region."""
        collectors = self._config.collectors
        ingest = Ingest(
            scope,
            self._store,
            self._clock,
            collectors.flow_logs.interval,
            collectors.flow_logs.lookback,
            budget=max(1.5 * collectors.flow_logs.interval, 60.0),
        )
        put_report = partial(self._publisher.put_report, scope)
        await self._in_thread((FLOW_LOGS, scope, "committed"), ingest.committed, put_report)
        listed = asyncio.Event()

        async def list_inventory() -> Mapping[str, str]:
            def collect() -> Inventory:
                return inventory.collect(self._aws.client(scope, "ec2"), scope, self._clock)

            put = self._publisher.put_inventory
            try:
                found = await self._in_thread((INVENTORY, scope, ""), collect, put)
            finally:
                listed.set()
            return found.problems()

        async def read_flow_logs() -> Mapping[str, str]:
            seen = await self._listed(scope, listed)
            index = attribute.index(seen)
            if index is None:
                return _needed(seen, "endpoints", "interfaces", "flow_logs")

            def read() -> Report:
                return ingest.run(self._aws.client(scope, "logs"), index)

            put = partial(self._publisher.put_report, scope)
            report: Report = await self._in_thread((FLOW_LOGS, scope, ""), read, put)
            return report.problems()

        tasks = [
            Task((INVENTORY, scope, ""), collectors.inventory.interval, list_inventory),
            Task((FLOW_LOGS, scope, ""), collectors.flow_logs.interval, read_flow_logs),
        ]
        for server in self._servers:
            prober = Prober(server, self._pace, self._clock)

            async def probe(prober: Prober = prober) -> Mapping[str, str]:
                seen = await self._listed(scope, listed)
                if last_known(seen.endpoints) is None:
                    return _needed(seen, "endpoints")
                lookups = await prober.run(seen)
                self._publisher.put_lookups(scope, prober.server.label, lookups)
                return {}

            tasks.append(Task((DNS, scope, server.label), collectors.dns.interval, probe))
        self._publisher.expect(*(task.key for task in tasks))
        for task in tasks:
            self._start(task)

    async def _listed(self, scope: Scope, listed: asyncio.Event) -> Inventory:
        """Return the inventory once the first pass of it has ended; raises OSError if it broke."""
        await listed.wait()
        seen = self._publisher.inventory(scope)
        if seen is None:
            raise OSError("nothing has been listed yet")
        return seen

    async def _in_thread(
        self, key: Key, call: Callable[[], T], put: Callable[[T], None] | None = None
    ) -> T:
        """Return what the call returns in a thread of the pool, and give it to `put`.

        A thread cannot be stopped: when a pass missed its deadline, the next ones say so instead
        of running beside it, and what it finds is put when it ends. Raises TimeoutError then.
        """
        previous = self._in_flight.get(key)
        if previous is not None and not previous.done():
            raise TimeoutError("the pass before has not ended yet")
        future = asyncio.get_running_loop().run_in_executor(self._pool, call)

        def done(ended: asyncio.Future[T]) -> None:
            if not ended.cancelled() and ended.exception() is None and put:
                put(ended.result())

        future.add_done_callback(done)
        self._in_flight[key] = future  # type: ignore[assignment]  # only asked whether it is done
        return await asyncio.shield(future)

    def _tell(self, key: Key, problems: Mapping[str, str]) -> None:
        """Log a collector's problems when they change, not at every pass."""
        collector, scope, part = key
        text = "; ".join(f"{what}: {why}" for what, why in sorted(problems.items()))
        if text == self._told.get(key, ""):
            return
        more = {"part": part} if part else {}
        if text:
            log.warning(
                "collector cannot see everything",
                collector=collector,
                **_where(scope),
                reason=text,
                **more,
            )
        else:
            log.info(
                "collector sees everything again", collector=collector, **_where(scope), **more
            )
        self._told[key] = text


def _where(scope: Scope) -> dict[str, str]:
    return {"account": scope.account, "region": scope.region}


def _needed(seen: Inventory, *names: str) -> dict[str, str]:
    """Return why a pass that needs these parts of the inventory cannot be made."""
    return {
        name: part.reason
        for name, part in seen.parts()
        if name in names and isinstance(part, Unavailable)
    }
