"""Reloads: one at a time, refused as a whole or in force as a whole, and counted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from exporter.config import Config, parse
from exporter.reload import Reloader
from exporter.web.live import LiveWebConfig


class Daemon:
    """What the configuration is given to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.got: list[Config] = []
        self.running = 0
        self.error = error

    async def reload(self, config: Config) -> None:
        self.running += 1
        assert self.running == 1
        await asyncio.sleep(0.01)
        self.running -= 1
        if self.error:
            raise self.error
        self.got.append(config)


STORAGE = Path(Config().storage.path)


def reloader(
    daemon: Daemon, file: Path, web: Path | None = None, storage: Path = STORAGE
) -> tuple[Reloader, list[bool]]:
    made = Reloader(Config(), file, LiveWebConfig(web), storage, daemon.reload, (OSError,))
    told: list[bool] = []
    made.on_change = lambda: told.append(made.ok)
    return made, told


def test_one_at_a_time(tmp_path: Path) -> None:
    """Reloads that are asked for together follow each other; hangups meanwhile are one more."""
    file = tmp_path / "config.yaml"
    file.write_text("collectors: {inventory: {interval: 7s}}")
    daemon = Daemon()

    async def main() -> None:
        made, told = reloader(daemon, file)
        assert await asyncio.gather(*(made.reload() for _ in range(4))) == [[]] * 4
        assert told == [True] * 4
        hangup = asyncio.Event()
        following = asyncio.create_task(made.on_hangups(hangup))
        for _ in range(3):
            hangup.set()
        async with asyncio.timeout(10):
            while len(told) < 5:  # noqa: ASYNC110  # the reload tells nobody else
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        following.cancel()
        assert len(told) == 5

    asyncio.run(main())
    assert [config.collectors.inventory.interval for config in daemon.got] == [7.0] * 5


def test_what_the_daemon_cannot_take_is_refused(tmp_path: Path) -> None:
    """A configuration that reads well but cannot be put in force is an error of the reload."""
    file = tmp_path / "config.yaml"
    file.write_text("")

    async def main() -> None:
        made, told = reloader(Daemon(OSError("no resolver")), file)
        assert await made.reload() == [f"{file}: no resolver"]
        assert told == [False]
        made, told = reloader(Daemon(KeyError("a bug")), file)
        with pytest.raises(KeyError):
            await made.reload()
        assert told == [False]

    asyncio.run(main())


@pytest.mark.parametrize(("storage", "warnings"), [(STORAGE, 1), (Path("/flag"), 0)])
def test_another_storage_needs_a_restart(tmp_path: Path, storage: Path, warnings: int) -> None:
    """A changed storage.path is warned of, unless the flag decides on it anyway."""
    file = tmp_path / "config.yaml"

    async def main() -> None:
        made, _ = reloader(Daemon(), file, storage=storage)
        for text in ("", "storage: {path: ./elsewhere}"):
            file.write_text(text)
            assert await made.reload() == []

    with capture_logs() as logged:
        asyncio.run(main())
    said = [entry for entry in logged if "storage.path" in entry["event"]]
    assert len(said) == warnings


def test_what_stays_broken_is_said_once(tmp_path: Path) -> None:
    """Following the file says each error once, until it is another; a reload says it again."""
    web = tmp_path / "web.yml"
    web.write_text("")
    live = LiveWebConfig(web)

    async def main() -> None:
        web.write_text("rubbish")
        for _ in range(3):
            assert len(await live.reload(again=False)) == 1
        assert not live.ok
        await live.reload()
        web.write_text("other: rubbish")
        await live.reload(again=False)
        web.write_text("")
        assert await live.reload(again=False) == []
        assert live.ok

    with capture_logs() as logged:
        asyncio.run(main())
    assert len(logged) == 3


def test_a_bug_ends_one_reload(tmp_path: Path) -> None:
    """A hangup whose reload breaks is logged, and the next one is answered."""
    file = tmp_path / "config.yaml"
    file.write_text("")
    daemon = Daemon(KeyError("a bug"))

    async def main() -> None:
        made, told = reloader(daemon, file)
        hangup = asyncio.Event()
        following = asyncio.create_task(made.on_hangups(hangup))
        for expected in (False, True):
            hangup.set()
            count = len(told)
            async with asyncio.timeout(10):
                while len(told) == count:  # noqa: ASYNC110  # the reload tells nobody else
                    await asyncio.sleep(0.01)
            assert told[-1] is expected
            daemon.error = None
        following.cancel()

    with capture_logs() as logged:
        asyncio.run(main())
    broke = [entry for entry in logged if entry["event"] == "broke"]
    assert [type(entry["exc_info"]) for entry in broke] == [KeyError]


def test_the_two_files_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """A bad file of one kind is refused, and a good one of the other put in force beside it."""
    file, web = tmp_path / "config.yaml", tmp_path / "web.yml"
    file.write_text("")
    web.write_text("")
    daemon = Daemon()

    async def main() -> None:
        made, told = reloader(daemon, file, web)
        web.write_text("rubbish")
        errors = await made.reload()
        assert len(errors) == 1
        assert errors[0].startswith(f"{web}:1: ")
        assert daemon.got == [parse("", "")]
        web.write_text("http_server_config: {http2: false}")
        file.write_text("rubbish")
        errors = await made.reload()
        assert len(errors) == 1
        assert errors[0].startswith(f"{file}:1: ")
        file.unlink()
        assert await made.reload() == [f"{file}: No such file or directory"]
        file.write_text("")
        assert await made.reload() == []
        assert told == [False, False, False, True]

    asyncio.run(main())
