"""Reading the configuration again while the daemon runs: both files, one reload at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from exporter import config as configuration
from exporter.config import Config, ConfigError
from exporter.web.live import LiveWebConfig, survive

log = structlog.get_logger()


class Reloader:
    """Reads the files again on demand; a bad one is refused and the old one stays in force.

    `storage` is the path in force, which a flag may have set. `apply` gives a new configuration to
    the daemon; when it raises one of `refusals` the daemon kept the old one. `on_change` is called
    when `ok` may have changed.
    """

    def __init__(
        self,
        config: Config,
        file: Path | None,
        web: LiveWebConfig,
        storage: Path,
        apply: Callable[[Config], Awaitable[None]],
        refusals: tuple[type[Exception], ...],
    ) -> None:
        self._storage = storage
        # With the flag the configuration's path has no say, now or at the next start.
        self._storage_configured = storage == Path(config.storage.path)
        self._file = file
        self._web = web
        self._apply = apply
        self._refusals = refusals
        self.on_change: Callable[[], None] = lambda: None
        self._lock = asyncio.Lock()
        self._config_ok = True

    @property
    def ok(self) -> bool:
        """Whether what is in force is what the files said when they were read last."""
        return self._config_ok and self._web.ok

    async def reload(self) -> list[str]:
        """Read both files; returns the errors for which one was refused, none when all is well.

        The two are independent: a good one is put in force beside a bad one.
        """
        async with self._lock:
            try:
                errors = [*await self._web.reload(), *await self._reload_config()]
            finally:
                self.on_change()
            if not errors:
                log.info("configuration loaded again", file=str(self._file or ""))
            return errors

    async def _reload_config(self) -> list[str]:
        if self._file is None:
            return []
        self._config_ok = False  # until it is: also when there is a bug in what follows
        try:
            found = await asyncio.to_thread(configuration.load, self._file)
            await self._apply(found)
        except ConfigError as error:
            errors = error.errors
        except self._refusals as error:
            errors = [f"{self._file}: {error}"]
        else:
            if self._storage_configured and Path(found.storage.path) != self._storage:
                log.warning(
                    "storage.path takes effect at the next start",
                    in_force=str(self._storage),
                    configured=found.storage.path,
                )
            self._config_ok = True
            return []
        for reason in errors:
            log.error("configuration refused; the old one stays in force", reason=reason)
        return errors

    async def on_hangups(self, hangup: asyncio.Event) -> None:
        """Reload whenever the event is set; hangups during a reload are one more reload."""
        while True:
            await hangup.wait()
            hangup.clear()
            await survive(self.reload(), "a reload")
