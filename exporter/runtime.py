"""One run of the daemon with its HTTP server: built, started, stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dns.exception
import structlog

from exporter import __version__
from exporter.aws import imds
from exporter.aws.imds import Host
from exporter.aws.session import Aws
from exporter.config import Account, Config
from exporter.daemon import Daemon
from exporter.publisher import Publisher, Snapshot
from exporter.store import Store
from exporter.web.app import create_app
from exporter.web.server import Server, is_loopback, listen

log = structlog.get_logger()

# The metrics cannot be there; nor below /-/ and /api/.
OWN_PATHS = ("/",)

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
    metadata: bool = True,
) -> None:
    """Serve until a signal sets the event that `on_signals` gets.

    `metadata` is whether the instance metadata service may be asked which VPC this host is in.
    Raises NoAccess, StoreError, ListenError or CannotStart when it cannot begin.
    """
    stop = asyncio.Event()
    on_signals(stop)
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
    listener = listen(address)
    try:
        store = Store(storage)
    except BaseException:
        listener.close()
        raise
    publisher = Publisher(time.time, aws.requests, lambda: store.ok)
    try:
        daemon = Daemon(config, aws, store, here, publisher)
    except (dns.exception.DNSException, OSError) as error:
        listener.close()
        store.close()
        raise CannotStart(
            f"This host has no DNS resolver ({error}). List one in the configuration: "
            "collectors.dns.resolvers: [{address: 169.254.169.253}]"
        ) from None
    server = Server(create_app(lambda: publisher.snapshot, telemetry_path))
    host, port = listener.getsockname()[:2]
    log.info("listening", version=__version__, address=f"{host}:{port}", storage=str(storage))
    if not is_loopback(listener):
        log.warning(
            "whoever reaches this address reads everything here: there is no authentication"
        )

    async def watch() -> None:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        collecting = asyncio.create_task(daemon.run(stop))
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


def _look_around(aws: Aws, config: Config, metadata: bool) -> Host | None:
    """Return where this host is, None where nothing tells; raises NoAccess."""
    aws.require(
        not config.organization
        and any(not account.regions for account in config.accounts or (Account(),))
    )
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
