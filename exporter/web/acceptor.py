"""Accepts connections, each with the TLS settings of that moment, and bounds how many there are."""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
from collections.abc import Callable
from contextlib import suppress
from itertools import chain

import structlog
import uvicorn
from uvicorn.server import ServerState

from exporter.web.connection import Connection, Phase
from exporter.web.tls import Tls

log = structlog.get_logger()

CONNECTIONS = 512
# Seconds a client has to answer the end of its TLS connection.
FAREWELL = 5.0
# What accept() says when this host is short of something (accept(2)): wait, and try again.
_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def room() -> int:
    """Return how many connections may be open: the other files that are open need room too."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if files == resource.RLIM_INFINITY else min(CONNECTIONS, files // 2)


class Acceptor:
    """Turns what arrives at a listening socket into connections.

    When there are too many the one that has waited longest for its client goes, so that whoever
    opens connections and leaves them keeps no scrape out. `most` may be open, half of them without
    having sent a whole request.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        state: ServerState,
        tls: Callable[[], Tls | None],
        most: int,
    ) -> None:
        self._config = config
        self._state = state
        self._tls = tls
        self._most = most
        self._most_unfinished = most // 2
        # The oldest first, as a dict keeps them: by when they were accepted those that have sent
        # no whole request, by when they began to wait the others.
        self._unfinished: dict[Connection, None] = {}
        self._idle: dict[Connection, None] = {}
        self._answered: dict[Connection, None] = {}
        self._group = {
            Phase.HANDSHAKE: self._unfinished,
            Phase.HEAD: self._unfinished,
            Phase.ANSWER: self._answered,
            Phase.IDLE: self._idle,
        }
        self._opening: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._unfinished) + len(self._idle) + len(self._answered)

    async def run(self, listener: socket.socket) -> None:
        """Accept for ever; what cannot be accepted for want of resources is tried again."""
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        while True:
            try:
                accepted, _ = await loop.sock_accept(listener)
            except OSError as error:
                if error.errno in _SHORT:
                    log.warning("cannot accept connections", reason=error.strerror)
                    self._make_room(len(self) // 2, 0)
                    await asyncio.sleep(1)
                # Any other is of the connection that was to be accepted: it is gone again.
                await asyncio.sleep(0)
                continue
            self._make_room(self._most - 1, self._most_unfinished - 1)
            if len(self) >= self._most:
                accepted.close()
            else:
                # asyncio does so only for sockets that name their protocol. Otherwise an answer's
                # body waits 40 ms for the client to acknowledge its head.
                with suppress(OSError):
                    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                opening = asyncio.create_task(self._open(accepted))
                self._opening.add(opening)
                opening.add_done_callback(self._opening.discard)
            # sock_accept does not yield while connections wait: those that are open come first.
            await asyncio.sleep(0)

    async def _open(self, accepted: socket.socket) -> None:
        tls = self._tls()
        connection = Connection(self._config, self._state, tls, self._on_phase)
        task = asyncio.current_task()
        assert task is not None
        connection.abandon = task.cancel
        loop = asyncio.get_running_loop()
        try:
            if tls:
                await loop.connect_accepted_socket(
                    lambda: connection, accepted, ssl=tls.context, ssl_shutdown_timeout=FAREWELL
                )
            else:
                await loop.connect_accepted_socket(lambda: connection, accepted)
        except (OSError, asyncio.CancelledError):
            # No TLS, a certificate that will not do, gone, or abandoned: the client knows.
            connection.end()
        else:
            if not connection.opened:  # gone in the middle of the handshake
                connection.end()

    def _on_phase(self, connection: Connection, phase: Phase | None) -> None:
        new = self._group[phase] if phase else None
        for group in (self._unfinished, self._idle, self._answered):
            if group is not new:
                group.pop(connection, None)
        if new is not None:
            new[connection] = None

    def _make_room(self, most: int, unfinished: int) -> None:
        """End the oldest connections until there are at most so many."""
        while len(self._unfinished) > unfinished:
            self._end(next(iter(self._unfinished)))
        while len(self) > most:
            stuck = (c for c in self._answered if c.stuck)
            oldest = next(chain(self._unfinished, self._idle, stuck), None)
            if oldest is None:
                return
            self._end(oldest)

    def _end(self, connection: Connection) -> None:
        connection.abort()
        connection.end()

    def close(self) -> None:
        """End the connections that no request has come from; uvicorn sees to the others."""
        for task in self._opening:
            task.cancel()
        for connection in list(self._unfinished):
            self._end(connection)
