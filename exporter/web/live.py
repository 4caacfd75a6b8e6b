"""The web configuration that is in force, and its replacement while the server runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeAlias

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

    `on_change` is called when what is in force changed, or when it began or ceased to be what
    the file says.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.on_change: Callable[[], None] = lambda: None
        self._seen: tuple[_Stat, ...] = ()
        self._told: list[str] = []
        self.current = WebConfig()
        self.ok = True
        if path:
            self.put(*self.read())

    def read(self) -> tuple[WebConfig, tuple[_Stat, ...]]:
        """Return what the files hold now, without putting it in force; blocks on the disk.

        Raises ConfigError with every error.
        """
        if self._path is None:
            return WebConfig(), ()
        files = self.current.files(self._path)
        while True:
            # Looked at before they are read: what changes meanwhile is seen to have changed.
            before = _stats(files)
            found = webconfig.load(self._path)
            named = found.files(self._path)
            if named == files:
                return found, before
            files = named

    def put(self, found: WebConfig, seen: tuple[_Stat, ...]) -> None:
        """Put in force for every new connection and request what `read` returned."""
        self.current, self._seen = found, seen
        self.ok, self._told = True, []

    def refuse(self, errors: list[str], *, again: bool = False) -> None:
        """Keep what is in force, and say once, or `again`, why what the file says is not."""
        if again or errors != self._told:
            for error in errors:
                log.error("web configuration refused; the old one stays in force", reason=error)
        self.ok, self._told = False, errors

    async def watch(self) -> NoReturn:
        """Follow the files for ever: certificates are renewed and users changed under our feet."""
        while True:
            await asyncio.sleep(EVERY)
            if self._path and (not self.ok or await asyncio.to_thread(self._changed)):
                await self._follow()

    def _changed(self) -> bool:
        return self._path is not None and _stats(self.current.files(self._path)) != self._seen

    async def _follow(self) -> None:
        was = (self.current, self.ok)
        try:
            found, seen = await asyncio.to_thread(self.read)
        except ConfigError as error:
            self.refuse(error.errors)
        else:
            self.put(found, seen)
            log.info("web configuration read again", file=str(self._path))
        if was != (self.current, self.ok):
            self.on_change()


def _stats(paths: tuple[Path, ...]) -> tuple[_Stat, ...]:
    return tuple(_stat(path) for path in paths)


def _stat(path: Path) -> _Stat:
    """What changes when a file is written, replaced, or led elsewhere by a symbolic link."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
