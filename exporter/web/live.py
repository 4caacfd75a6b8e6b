"""The web configuration that is in force, and its replacement while the server runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import structlog

from exporter.strictyaml import ConfigError
from exporter.web import webconfig
from exporter.web.webconfig import WebConfig

log = structlog.get_logger()

# Seconds between two looks at the files.
EVERY = 1.0

_Stat: TypeAlias = tuple[int, ...] | None


class LiveWebConfig:
    """Holds what new connections and requests are served with; without a file, plain HTTP.

    Raises ConfigError when the file has errors at the start. `on_change` is called when following
    the files changed what is in force, or whether that is what they say.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen: tuple[_Stat, ...] = ()
        self._told: list[str] = []
        self._lock = asyncio.Lock()
        self.on_change: Callable[[], None] = lambda: None
        self.current = WebConfig()
        self.ok = True
        if path:
            self.current, self._seen = self._read(path)

    def _read(self, path: Path) -> tuple[WebConfig, tuple[_Stat, ...]]:
        """Return what the files hold, and how they looked; blocks on the disk."""
        files = self.current.files(path)
        while True:
            # Looked at before they are read: what changes meanwhile is seen to have changed.
            before = _stats(files)
            found = webconfig.load(path)
            named = found.files(path)
            if named == files:
                return found, before
            files = named

    async def reload(self, *, again: bool = True) -> list[str]:
        """Put in force what the files hold now; returns the errors for which that was refused.

        They are logged, but without `again` not those that were logged last.
        """
        if self._path is None:
            return []
        async with self._lock:
            try:
                self.current, self._seen = await asyncio.to_thread(self._read, self._path)
            except ConfigError as error:
                errors = error.errors
            else:
                errors = []
            if again or errors != self._told:
                for reason in errors:
                    log.error(
                        "web configuration refused; the old one stays in force", reason=reason
                    )
            self.ok, self._told = not errors, errors
            return errors

    async def watch(self) -> NoReturn:
        """Follow the files for ever: certificates are renewed and users changed under our feet."""
        while True:
            await asyncio.sleep(EVERY)
            if self._path:
                await survive(self._follow(self._path), "following the web configuration")

    async def _follow(self, path: Path) -> None:
        files = self.current.files(path)
        # A broken configuration is read each time: what it waits for may be any file.
        if self.ok and await asyncio.to_thread(_stats, files) == self._seen:
            return
        was = (self.current, self.ok)
        if not await self.reload(again=False):
            log.info("web configuration loaded again", file=str(path))
        if was != (self.current, self.ok):
            self.on_change()


async def survive(work: Coroutine[Any, Any, object], what: str) -> None:
    """Wait for what must not end its caller: a bug in it is logged, and the next time is new."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task})
    finally:
        task.cancel()
    error = task.exception()
    if error:
        log.error("broke", what=what, exc_info=error)


def _stats(paths: tuple[Path, ...]) -> tuple[_Stat, ...]:
    return tuple(_stat(path) for path in paths)


def _stat(path: Path) -> _Stat:
    """What changes when a file is written, replaced, or led elsewhere by a symbolic link."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
