"""One run of the daemon with its HTTP server: built, started, stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dns.exception
import structlog

from exporter import __version__
from exporter.aws.session import Aws
from exporter.config import Config
from exporter.daemon import Daemon, keep
from exporter.dns import servers
from exporter.publisher import Publisher, Snapshot
from exporter.store import Store
from exporter.web.app import create_app
from exporter.web.server import Server, is_loopback, listen

log = structlog.get_logger()

OWN_PATHS = ("/", "/api/v1/endpoints", "/api/v1/status", "/-/healthy", "/-/ready")

# Called with the base URL and the snapshot once everything has reported; used by `demo`.
Guide = Callable[[str, Snapshot], None]


class CannotStart(Exception):  # noqa: N818  # reads as what it is
    """Raised when this host lacks what the daemon needs; says what, and the remedy."""


async def run(
    config: Config,
    address: str,
    telemetry_path: str,
    storage: Path,
    on_signals: Callable[[asyncio.Event], None],
    guide: Guide | None = None,
) -> None:
    """Serve until a signal sets the event that `on_signals` gets.

    Raises NoAccess, StoreError, ListenError or CannotStart when it cannot begin.
    """
    stop = asyncio.Event()
    on_signals(stop)
    aws = Aws(config.accounts)
    # Where there is no profile this asks the instance metadata service, which may be slow to
    # not be there.
    starting = ThreadPoolExecutor(1, thread_name_prefix="start")
    required: asyncio.Future[object]
    required = asyncio.get_running_loop().run_in_executor(starting, aws.require)
    stopped: asyncio.Future[object] = asyncio.ensure_future(stop.wait())
    await asyncio.wait({required, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not required.done():
        return
    required.result()
    starting.shutdown(wait=False)
    try:
        resolvers = servers(config.collectors.dns.resolvers)
    except (dns.exception.DNSException, OSError) as error:
        raise CannotStart(
            f"This host has no DNS resolver ({error}). List one in the configuration: "
            "collectors.dns.resolvers: [{address: 169.254.169.253}]"
        ) from None
    listener = listen(address)
    try:
        store = Store(storage)
    except BaseException:
        listener.close()
        raise
    publisher = Publisher(time.time, keep(config), aws.requests, lambda: store.ok)
    server = Server(create_app(lambda: publisher.snapshot, telemetry_path))
    host, port = listener.getsockname()[:2]
    log.info("listening", version=__version__, address=f"{host}:{port}", storage=str(storage))
    if not is_loopback(listener):
        log.warning(
            "whoever reaches this address reads everything here: there is no authentication"
        )

    async def watch() -> None:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        collecting = asyncio.create_task(Daemon(config, aws, store, resolvers, publisher).run(stop))
        guiding = asyncio.create_task(_guide(publisher, guide, f"http://{host}:{port}"))
        try:
            await asyncio.wait({serving, collecting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.set()
            guiding.cancel()
            server.should_exit = True
        await collecting
        await serving

    try:
        await watch()
    finally:
        store.close()
    log.info("stopped")


async def _guide(publisher: Publisher, guide: Guide | None, url: str) -> None:
    if guide:
        await publisher.ready.wait()
        guide(url, publisher.snapshot)
