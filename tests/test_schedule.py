"""The schedule: isolation of passes, and of the threads that they block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping

import pytest
from structlog.testing import capture_logs

from exporter.model import Scope
from exporter.publisher import Publisher
from exporter.schedule import PER_ACCOUNT, PER_REGION, Schedule, Task, Threads

HANGS, WORKS = Scope("111122223333", "eu-west-1"), Scope("444455556666", "us-east-1")


def key(scope: Scope, n: int = 0) -> tuple[str, Scope, str]:
    return ("inventory", scope, str(n))


@pytest.mark.parametrize(
    ("scopes", "limit"),
    [
        ([HANGS] * 3 * PER_ACCOUNT, PER_ACCOUNT),
        ([Scope(str(n), HANGS.region) for n in range(3 * PER_REGION)], PER_REGION),
    ],
    ids=["one account", "one Region"],
)
def test_what_hangs_leaves_threads_to_the_others(scopes: list[Scope], limit: int) -> None:
    """However many calls of an account or a Region hang, those of another get a thread."""
    release, hanging = threading.Event(), threading.Semaphore(0)

    def hang() -> None:
        hanging.release()
        release.wait(10)

    async def main() -> None:
        threads = Threads()
        stuck = [
            asyncio.create_task(threads.run(key(scope, n), hang)) for n, scope in enumerate(scopes)
        ]
        async with asyncio.timeout(5):
            await asyncio.to_thread(lambda: [hanging.acquire() for _ in range(limit)])
            assert await threads.run(key(WORKS), lambda: 1) == 1
            assert not hanging.acquire(blocking=False)  # the rest of them waits
            release.set()
            await asyncio.gather(*stuck)
        threads.shutdown()

    asyncio.run(main())


def test_a_pass_that_still_runs_is_not_run_twice() -> None:
    """The next pass says so, and what the late one finds is put when it ends."""
    release = threading.Event()
    put: list[bool] = []

    async def main() -> None:
        threads = Threads(patience=0.05)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await threads.run(key(HANGS), lambda: release.wait(10), put.append)
        with pytest.raises(TimeoutError, match="has not ended"):
            await threads.run(key(HANGS), lambda: True)
        release.set()
        async with asyncio.timeout(5):
            while not put:  # noqa: ASYNC110  # there is no event for it
                await asyncio.sleep(0.01)
        assert await threads.run(key(HANGS), lambda: 2) == 2
        threads.shutdown()

    asyncio.run(main())
    assert put == [True]


def test_a_bug_in_one_collector_takes_no_other_down() -> None:
    """A pass that breaks is reported and repeated; the other goes on."""
    publisher = Publisher(lambda: 0.0, dict, lambda: True)
    passes = {"broken": 0, "good": 0}

    async def broken() -> Mapping[str, str]:
        passes["broken"] += 1
        raise ZeroDivisionError("a bug")

    async def good() -> Mapping[str, str]:
        passes["good"] += 1
        return {}

    async def main() -> None:
        schedule = Schedule(publisher)
        schedule.start(Task(key(HANGS), 0.05, broken), Task(key(WORKS), 0.05, good))
        async with asyncio.timeout(5):
            while min(passes.values()) < 3:  # noqa: ASYNC110  # there is no event for it
                await asyncio.sleep(0.01)
        await schedule.stop(lambda of: of[1] == HANGS)
        seen = passes["broken"]
        before = passes["good"]
        async with asyncio.timeout(5):
            while passes["good"] < before + 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert passes["broken"] == seen
        await schedule.stop()

    with capture_logs() as logs:
        asyncio.run(main())
    assert "a bug" in str([line for line in logs if line["log_level"] == "warning"])
