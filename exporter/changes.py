"""Following changes: CloudTrail is asked pass by pass; a queue may bring its events sooner."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from exporter.aws import lookup_events, queues
from exporter.aws.changes import change, scope_of
from exporter.aws.errors import AWS_ERRORS, MALFORMED_ANSWER, unavailable
from exporter.aws.eventbridge import event_of
from exporter.aws.lookup_events import Page
from exporter.aws.queues import Letter
from exporter.aws.session import Aws
from exporter.model import Change, Scope
from exporter.publisher import Publisher
from exporter.schedule import Threads
from exporter.trail import Trail, Window

log = structlog.get_logger()

# Of the history the first pass reads a little, so that the exporter is soon ready; later passes
# read for half of their interval at most.
_FIRST, _LEAST = 20, 10


@dataclass(slots=True)
class Following:
    """Asks LookupEvents for what is new in one account and Region, and for what is still unread."""

    trail: Trail
    client: Callable[[str], Any]
    threads: Threads
    publisher: Publisher
    clock: Callable[[], float]
    interval: float
    pause: float = lookup_events.PAUSE
    _first: bool = True
    _next: float = 0.0

    async def read(self) -> Mapping[str, str]:
        """Make a pass; return the problems."""
        pages = max(_LEAST, int(self.interval / 2 / lookup_events.PAUSE))
        if self._first:
            pages, self._first = _FIRST, False
        # Calls that are slow must not hold up what they found.
        until = time.monotonic() + max(self.interval, 60.0)
        problems: dict[str, str] = {}
        self.trail.problem = None
        try:
            for window in self.trail.windows(self.clock()):
                pages = await self._window(window, pages, until, problems)
                if pages <= 0:
                    break
        except (*AWS_ERRORS, *MALFORMED_ANSWER) as error:
            failed = unavailable(error)
            self.trail.problem = failed
            problems["events"] = failed.reason
        finally:
            self.publisher.put_changes(self.trail.scope, self.trail.recorded())
        behind = self.trail.behind
        if behind and not self.trail.problem:
            problems["events"] = (
                f"more than can be asked for: {behind.end - behind.begin:.0f} s are still unread"
            )
        return problems

    async def _window(
        self, window: Window, pages: int, until: float, problems: dict[str, str]
    ) -> int:
        """Read a window as far as it goes; return how many pages may still be asked for."""
        token: str | None = None
        scope, end = self.trail.scope, window.end
        while pages > 0 and time.monotonic() < until:
            found = await self._page(scope, window.begin, end, token)
            pages -= 1
            self.trail.take(found.changes, self.clock())
            if found.unreadable:
                problems["unreadable"] = "events that are none that can be read"
            if found.token is None:
                self.trail.done(window)
                return pages
            self.trail.reached(window, found.oldest)
            token = found.token
        return 0

    async def _page(self, scope: Scope, begin: float, end: float, token: str | None) -> Page:
        """Ask for a page, not sooner after the one before than CloudTrail allows."""
        await asyncio.sleep(max(0.0, self._next - time.monotonic()))
        self._next = time.monotonic() + self.pause

        def ask() -> Page:
            return lookup_events.page(self.client("cloudtrail"), scope, begin, end, token)

        return await self.threads.run(("changes", scope, ""), ask)


@dataclass(slots=True)
class ChangeQueue:
    """One queue of EventBridge's events: read until it is empty or time is up.

    `trails` are of the accounts and Regions that are watched, as they come and go. Whatever a
    message says, only what was recorded there counts.
    """

    url: str
    interval: float
    aws: Aws
    threads: Threads
    trails: Mapping[Scope, Trail]
    publisher: Publisher
    clock: Callable[[], float]

    async def read(self) -> Mapping[str, str]:
        """Read the queue; return the problems."""
        key = ("changes", Scope("", ""), self.url)
        problems: dict[str, str] = {}
        until = time.monotonic() + max(self.interval, 10.0)
        sqs = await self.threads.run(key, partial(queues.client, self.aws, self.url))
        while time.monotonic() < until:
            letters = await self.threads.run(key, partial(queues.receive, sqs, self.url, 60.0))
            if not letters:
                break
            self._take(letters)
            receipts = [letter.receipt for letter in letters]
            for failure in await self.threads.run(
                key, partial(queues.delete, sqs, self.url, receipts)
            ):
                problems["delete"] = failure
        return problems

    def _take(self, letters: list[Letter]) -> None:
        found: dict[Scope, list[Change]] = {}
        for letter in letters:
            try:
                event = event_of(letter.body)
            except ValueError as error:
                log.warning("a message without a change", queue=self.url, reason=str(error))
                continue
            scope = scope_of(event)
            if scope is None or scope not in self.trails:
                continue  # of nobody who is watched: LookupEvents tells of who soon will be
            made = change(event, scope)
            if made:
                found.setdefault(scope, []).append(made)
        for scope, changes in found.items():
            trail = self.trails[scope]
            if trail.take(changes, self.clock()):
                self.publisher.put_changes(scope, trail.recorded())
                self.publisher.touch()
