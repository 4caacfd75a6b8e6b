"""One run of the daemon with its HTTP server: built, started, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.exception
import structlog

from exporter import __version__
from exporter.aws import imds
from exporter.aws.accounts import needs_region
from exporter.aws.imds import Host
from exporter.aws.session import Aws, NoAccess
from exporter.config import Config
from exporter.daemon import Daemon
from exporter.publisher import Publisher, Snapshot
from exporter.reload import Reloader
from exporter.store import Store, StoreError
from exporter.web.app import create_app
from exporter.web.auth import Passwords
from exporter.web.front import Exposure, front
from exporter.web.live import LiveWebConfig
from exporter.web.server import Server, is_loopback, listen

log = structlog.get_logger()

# What a daemon says that cannot go on with a new configuration, and so keeps the old one.
_REFUSALS = (NoAccess, StoreError, dns.exception.DNSException, OSError, ValueError)

# Called with the base URL and the snapshot once everything has reported; used by `demo`.
Guide = Callable[[str, Snapshot], None]


class CannotStart(Exception):  # noqa: N818  # reads as what it is
    """Raised when this host lacks what the daemon needs; says what, and the remedy."""


@dataclass(frozen=True, slots=True)
class Web:
    """The `--web.*` flags."""

    address: str
    telemetry_path: str
    config_file: Path | None = None
    lifecycle: bool = False


def tune() -> None:
    """Set the interpreter to serve while it counts and renders."""
    # What is held lives long and has no cycles: going through all of it every few seconds would
    # stop everything for as long as a scrape may take.
    gc.set_threshold(100_000, 50, 100)
    # A scrape waits for whoever parses or renders no longer than this.
    sys.setswitchinterval(0.001)


async def run(
    config: Config,
    config_file: Path | None,
    web: Web,
    storage: Path,
    on_signals: Callable[[asyncio.Event, asyncio.Event], None],
    guide: Guide | None = None,
    metadata: bool = True,
) -> None:
    """Serve until a signal sets the first event that `on_signals` gets.

    The second one has the configuration read again. `metadata` is whether the instance metadata
    service may be asked which VPC this host is in. Raises NoAccess, StoreError, ListenError,
    ConfigError or CannotStart when it cannot begin.
    """
    tune()
    stop, hangup = asyncio.Event(), asyncio.Event()
    on_signals(stop, hangup)
    live = LiveWebConfig(web.config_file)
    aws = Aws()
    # Where there is no profile this asks the instance metadata service, which may be slow to
    # not be there.
    starting = ThreadPoolExecutor(1, thread_name_prefix="start")
    required: asyncio.Future[Host | None]
    required = asyncio.get_running_loop().run_in_executor(
        starting, _look_around, aws, config, metadata
    )
    stopped = asyncio.ensure_future(stop.wait())
    waiting: set[asyncio.Future[Any]] = {required, stopped}
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not required.done():
        return
    here = required.result()
    starting.shutdown(wait=False)
    listener = listen(web.address)
    try:
        store = Store(storage)
    except BaseException:
        listener.close()
        raise
    if store.new:
        log.warning("a new store: counters begin at 0", path=str(store.path))
    if store.problem:
        log.error("flow logs are not counted while the store fails", reason=str(store.problem))
    reloader = Reloader(
        config, config_file, live, storage, lambda new: daemon.reload(new), _REFUSALS
    )

    def costs() -> Mapping[tuple[str, str], float]:
        """What queries have cost since the store was made; nothing while it cannot be read."""
        found: Counter[tuple[str, str]] = Counter()
        with contextlib.suppress(StoreError):
            for (service, operation, _), dollars in store.spent().items():
                found[service, operation] += dollars  # type: ignore[assignment]  # dollars
        return found

    publisher = Publisher(time.time, aws.requests, lambda: store.ok, lambda: reloader.ok, costs)
    try:
        daemon = _daemon(config, aws, store, here, publisher)
    except CannotStart:
        listener.close()
        store.close()
        raise
    app = create_app(
        lambda: publisher.snapshot,
        web.telemetry_path,
        reloader.reload if web.lifecycle else None,
    )
    passwords = Passwords()
    server = Server(front(app, lambda: live.current, passwords), lambda: live.current.tls)
    host, port = listener.getsockname()[:2]
    log.info("listening", version=__version__, address=f"{host}:{port}", storage=str(storage))
    exposure = Exposure(is_loopback(listener))
    exposure.tell(live.current)

    def changed() -> None:
        publisher.touch()
        exposure.tell(live.current)

    live.on_change = reloader.on_change = changed

    async def watch() -> None:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        collecting = asyncio.create_task(daemon.run(stop))
        scheme = "https" if live.current.tls else "http"
        others = [
            asyncio.create_task(_guide(publisher, guide, f"{scheme}://{host}:{port}")),
            asyncio.create_task(live.watch()),
            asyncio.create_task(reloader.on_hangups(hangup)),
        ]
        try:
            await asyncio.wait({serving, collecting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.set()
            for task in others:
                task.cancel()
            server.should_exit = True
        await collecting
        await serving

    try:
        await watch()
    finally:
        passwords.close()
        store.close()
    log.info("stopped")


async def once(
    config: Config,
    patience: float,
    progress: Callable[[Snapshot], None] = lambda _: None,
    metadata: bool = True,
    aws: Aws | None = None,
) -> Snapshot:
    """Return what is judged after one pass of every collector.

    After `patience` seconds it is what has been seen by then: `waiting_for` names the rest.
    `progress` is called while it waits, `aws` is what asks. What flow logs tell of the last
    look-back counts. Nothing is left behind: the store is a temporary one, no queue is read and no
    query that AWS bills is asked. Raises NoAccess, StoreError or CannotStart when it cannot begin.
    """
    config = _harmless(config)
    aws = aws or Aws()
    here = await asyncio.to_thread(_look_around, aws, config, metadata)
    history = config.collectors.flow_logs.lookback
    with tempfile.TemporaryDirectory(
        prefix="privatelink-exporter-", ignore_cleanup_errors=True
    ) as directory:
        store = Store(Path(directory))
        publisher = Publisher(time.time, aws.requests, lambda: store.ok)
        try:
            daemon = _daemon(config, aws, store, here, publisher, history)
            return await _when_ready(daemon, publisher, patience, progress)
        finally:
            store.close()


async def _when_ready(
    daemon: Daemon, publisher: Publisher, patience: float, progress: Callable[[Snapshot], None]
) -> Snapshot:
    stop = asyncio.Event()
    collecting = asyncio.create_task(daemon.run(stop))
    ready = asyncio.create_task(publisher.ready.wait())
    deadline = time.monotonic() + patience
    waiting: set[asyncio.Task[Any]] = {collecting, ready}
    try:
        while time.monotonic() < deadline:
            progress(publisher.snapshot)
            done, _ = await asyncio.wait(waiting, timeout=0.2, return_when=asyncio.FIRST_COMPLETED)
            if done:
                break
        return publisher.snapshot
    finally:
        stop.set()
        ready.cancel()
        await collecting


def _harmless(config: Config) -> Config:
    """Return the configuration without what one run more would take from the daemon, or cost.

    A message of a queue is read by one alone, and a budget is kept in the daemon's own store.
    """
    flow_logs = config.collectors.flow_logs.model_copy(
        update={"notifications": (), "budget_dollars_per_day": 0.0}
    )
    changes = config.collectors.changes.model_copy(update={"notifications": ()})
    collectors = config.collectors.model_copy(update={"flow_logs": flow_logs, "changes": changes})
    return config.model_copy(update={"collectors": collectors})


def _daemon(
    config: Config,
    aws: Aws,
    store: Store,
    here: Host | None,
    publisher: Publisher,
    history: float = 0.0,
) -> Daemon:
    """Return the daemon; raises CannotStart where this host has no resolver."""
    try:
        return Daemon(config, aws, store, here, publisher, history=history)
    except (dns.exception.DNSException, OSError) as error:
        raise CannotStart(
            f"This host has no DNS resolver ({error}). List one in the configuration: "
            "collectors.dns.resolvers: [{address: 169.254.169.253}]"
        ) from None


def _look_around(aws: Aws, config: Config, metadata: bool) -> Host | None:
    """Return where this host is, None where nothing tells; raises NoAccess."""
    aws.require(needs_region(config))
    if not metadata:
        return None
    try:
        here = imds.host(aws.metadata_endpoint)
    except OSError as error:
        log.info(
            "this host's VPC is not known: private names are judged by configured resolvers alone",
            reason=str(error),
            remedy="on EC2, allow instance metadata; in a container, with hop limit 2",
        )
        return None
    log.info("this host's VPC is known", vpc_id=here.vpc_id)
    return here


async def _guide(publisher: Publisher, guide: Guide | None, url: str) -> None:
    if guide:
        await publisher.ready.wait()
        guide(url, publisher.snapshot)
