"""One HTTP connection: uvicorn's, with a deadline for everything that a client may leave undone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from exporter.web.tls import Tls

# The greatest request head, in bytes. What is read at once is given to the parser in pieces of
# less than that, for it minds only heads that are not yet whole.
LARGEST_HEAD = 16 * 1024
PIECE = 4 * 1024
# What is left of a request's body once it has been answered; nothing here reads bodies.
LARGEST_REST = 64 * 1024


class Phase(Enum):
    """What a connection waits for, and for how many seconds it may."""

    HANDSHAKE = "handshake"
    HEAD = "head"
    ANSWER = "answer"
    IDLE = "idle"


DEADLINES = {Phase.HANDSHAKE: 5.0, Phase.HEAD: 5.0, Phase.ANSWER: 60.0, Phase.IDLE: 75.0}


class Connection(H11Protocol):
    """A connection from its acceptance to its end; `on_phase` hears of each phase, None at last."""

    def __init__(
        self,
        config: uvicorn.Config,
        state: ServerState,
        tls: Tls | None,
        on_phase: Callable[[Connection, Phase | None], None],
    ) -> None:
        super().__init__(config, state, {}, asyncio.get_running_loop())
        self._tls = tls
        self._on_phase = on_phase
        self._phase: Phase | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._answering: object = None
        self._rest = 0
        # Whether it was opened: there is no transport before; and what ends it until then.
        self.opened = False
        self.abandon: Callable[[], object] = lambda: None
        self._enter(Phase.HANDSHAKE)

    def abort(self) -> None:
        """End it at once, whatever has not been sent; waits for nobody."""
        if self.opened:
            self.transport.abort()
        else:
            self.end()
            self.abandon()

    def end(self) -> None:
        """Forget it; called once the socket is closed or about to be."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._phase is not None:
            self._phase = None
            self._on_phase(self, None)

    @property
    def stuck(self) -> bool:
        """Whether its client does not read the answer."""
        return self.opened and self.flow.write_paused

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request's head, if the client's certificate is one of those named."""
        super().connection_made(transport)
        self.opened = True
        secured = transport.get_extra_info("ssl_object")
        if self._tls and secured and not self._tls.allows(secured.getpeercert()):
            transport.abort()
            return
        self._enter(Phase.HEAD)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self.end()

    def data_received(self, data: bytes) -> None:
        """Take what the client sent, as long as it keeps to the limits."""
        for start in range(0, len(data), PIECE):
            if self.transport.is_closing():
                return
            piece = data[start : start + PIECE]
            if self._answered_early():
                self._rest += len(piece)
                if self._rest > LARGEST_REST:
                    self.transport.abort()
                    return
            super().data_received(piece)
        self._look()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._rest = 0
        super().on_response_complete()
        # uvicorn's own timer closes politely, which waits for clients that do not read.
        self._unset_keepalive_if_required()
        self._look()

    def _answered_early(self) -> bool:
        """Whether the answer went out before the request's body had come in."""
        return self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY

    def _look(self) -> None:
        """See what the connection waits for now; a phase that goes on keeps its deadline."""
        if self._phase is None or self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            if self._answering is not self.cycle:
                self._answering = self.cycle
                self._enter(Phase.ANSWER)
        elif self._answered_early() or self.conn.trailing_data[0]:
            if self._phase is not Phase.HEAD:
                self._enter(Phase.HEAD)
        elif self.cycle is not None and self._phase is not Phase.IDLE:
            self._enter(Phase.IDLE)

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._on_phase(self, phase)
        if self._timer:
            self._timer.cancel()
        self._timer = self.loop.call_later(DEADLINES[phase], self._late)

    def _late(self) -> None:
        if self._phase is Phase.IDLE and not self.transport.is_closing():
            self.timeout_keep_alive_handler()  # politely, so that the client does not wonder
            self._timer = self.loop.call_later(DEADLINES[Phase.HEAD], self.abort)
        else:
            self.abort()
