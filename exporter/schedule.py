"""Passes that are repeated, each on its own interval and isolated from the others.

The only `except Exception` is here: a bug in one collector must not take the others down.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import structlog

from exporter.aws.errors import AWS_ERRORS, unavailable
from exporter.held import Key
from exporter.model import Scope
from exporter.publisher import Publisher
from exporter.store import StoreError

T = TypeVar("T")
log = structlog.get_logger()

# Calls to one account or Region that hang must leave threads to the others.
AWS_THREADS, PER_ACCOUNT, PER_REGION = 48, 8, 24
# How many seconds a pass waits for the one before it, which a reload may have left behind.
PATIENCE = 30.0


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


class Schedule:
    """Runs tasks until they are stopped, and tells the publisher how each pass went."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._random = random.Random()  # noqa: S311  # jitter, not a secret
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._told: dict[Key, str] = {}

    def start(self, *tasks: Task) -> None:
        """Begin to repeat the tasks."""
        self._publisher.expect(*(task.key for task in tasks))
        for task in tasks:
            self._running[task.key] = asyncio.create_task(self._repeat(task))

    def running(self) -> frozenset[Key]:
        """Return the keys of the tasks that are repeated."""
        return frozenset(self._running)

    async def stop(self, which: Callable[[Key], bool] = lambda _: True) -> None:
        """End the tasks whose key is meant; what they run in threads runs on to its end."""
        ending = [self._running.pop(key) for key in list(self._running) if which(key)]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending, timeout=1)

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
                # Nor may it go unseen.
                log.exception("collector broke", collector=task.key[0], **where(task.key[1]))
                problems = {"pass": f"internal error: {type(error).__name__}: {error}"}
            duration = time.monotonic() - started
            self._tell(task.key, problems)
            self._publisher.put_status(task.key, duration, problems)
            pause = task.interval * self._random.uniform(0.95, 1.05) - duration
            await asyncio.sleep(max(pause, task.interval / 10))

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
                **where(scope),
                reason=text,
                **more,
            )
        else:
            log.info("collector sees everything again", collector=collector, **where(scope), **more)
        self._told[key] = text


class Threads:
    """A bounded pool for calls that block, of which no account or Region can take all."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._pool = ThreadPoolExecutor(AWS_THREADS, thread_name_prefix="aws")
        self._in_flight: dict[Key, asyncio.Future[object]] = {}
        self._slots: dict[str, asyncio.Semaphore] = {}

    async def run(
        self, key: Key, call: Callable[[], T], put: Callable[[T], None] | None = None
    ) -> T:
        """Return what the call returns in a thread, and give it to `put`.

        A thread cannot be stopped: when a pass missed its deadline, the next ones wait a while for
        it and say so instead of running beside it, and what it finds is put when it ends. Raises
        TimeoutError then.
        """
        previous = self._in_flight.get(key)
        if previous is not None:
            await asyncio.wait({previous}, timeout=self._patience)
            if key in self._in_flight:
                raise TimeoutError("the pass before has not ended yet")
        scope = key[1]
        slots = (self._slot(scope.account, PER_ACCOUNT), self._slot(scope.region, PER_REGION))
        held: list[asyncio.Semaphore] = []
        try:
            for slot in slots:
                await slot.acquire()
                held.append(slot)
            future = asyncio.get_running_loop().run_in_executor(self._pool, call)
        except BaseException:
            for slot in held:
                slot.release()
            raise

        def done(ended: asyncio.Future[T]) -> None:
            for slot in slots:
                slot.release()
            self._in_flight.pop(key, None)
            if not ended.cancelled() and ended.exception() is None and put:
                put(ended.result())

        future.add_done_callback(done)
        self._in_flight[key] = future  # type: ignore[assignment]  # only asked whether it is done
        return await asyncio.shield(future)

    def shutdown(self) -> None:
        """Start nothing more, and wait for nothing."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _slot(self, name: str, size: int) -> asyncio.Semaphore:
        return self._slots.setdefault(name, asyncio.Semaphore(size))


def where(scope: Scope) -> dict[str, str]:
    """Return a scope as fields of a log line."""
    return {"account": scope.account, "region": scope.region}
