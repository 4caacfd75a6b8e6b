"""The listening socket and the HTTP server on the daemon's own event loop."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from exporter.web.acceptor import Acceptor, room
from exporter.web.connection import LARGEST_HEAD
from exporter.web.tls import Tls

# What is left of a request when the daemon stops.
GRACE = 1


class ListenError(Exception):
    """Raised when the address cannot be listened on; says which, why, and the remedy."""


def listen(address: str) -> socket.socket:
    """Return a socket that listens on `HOST:PORT`, `[V6]:PORT` or `:PORT` (every address).

    Raises ListenError when the address is no address, taken, or not ours.
    """
    host, colon, port_text = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not port_text.isdecimal() or int(port_text) > 65535:
        raise ListenError(f"{address!r} is no listen address; write HOST:PORT or :PORT.")
    port = int(port_text)
    try:
        if not host:
            dual = socket.has_dualstack_ipv6()
            family = socket.AF_INET6 if dual else socket.AF_INET
            return socket.create_server(("", port), family=family, dualstack_ipv6=dual, backlog=512)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno == errno.EADDRINUSE:
            remedy = "Stop what listens there, or choose another: --web.listen-address=:PORT."
        else:
            remedy = "Choose another address: --web.listen-address=HOST:PORT."
        raise ListenError(f"Cannot listen on {address}: {reason}. {remedy}") from None


def is_loopback(listener: socket.socket) -> bool:
    """Whether only this host can reach the socket."""
    host: str = listener.getsockname()[0]
    return host.startswith("127.") or host == "::1"


class Server(uvicorn.Server):
    """uvicorn, but for signals, which are the daemon's, and for how connections come in.

    `tls` gives what a new connection is served with.
    """

    def __init__(self, app: ASGIApp, tls: Callable[[], Tls | None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                interface="asgi3",
                log_config=None,
                # Its warnings are of what clients send: they must not fill the log.
                log_level="error",
                access_log=False,
                lifespan="off",
                http="h11",
                ws="none",
                h11_max_incomplete_event_size=LARGEST_HEAD,
                server_header=False,
                timeout_graceful_shutdown=GRACE,
            )
        )
        self._acceptor = Acceptor(self.config, self.server_state, tls, room())
        self._accepting: list[asyncio.Task[None]] = []

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept from the sockets."""
        await self.lifespan.startup()
        self.servers = []  # asyncio's: none, for they could not change their TLS settings
        self._accepting = [asyncio.create_task(self._acceptor.run(s)) for s in sockets or ()]
        self.started = True

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop; raises what ended the accepting of connections, a bug."""
        for task in self._accepting:
            if task.done():
                task.result()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, and end what is open."""
        for task in self._accepting:
            task.cancel()
        await asyncio.wait(self._accepting)
        self._acceptor.close()
        await super().shutdown(sockets)
