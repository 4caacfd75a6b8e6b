"""What stands in front of the application: configured headers, passwords, bounded answers."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.auth import BasicAuth, Passwords
from exporter.web.webconfig import WebConfig

log = structlog.get_logger()

# An answer goes out in pieces, the next one when the client has taken the last: those who do not
# read must not have us hold a large answer for each of them.
PIECE = 128 * 1024


def front(app: ASGIApp, current: Callable[[], WebConfig], passwords: Passwords) -> ASGIApp:
    """Return the application as the network sees it; `current` gives the settings in force."""
    behind = BasicAuth(app, lambda: current().basic_auth_users, passwords)

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        headers = {k: v for k, v in current().http_server_config.headers.items() if v}

        async def piecemeal(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            elif message["type"] == "http.response.body" and len(message["body"]) > PIECE:
                body = message["body"]
                for start in range(0, len(body), PIECE):
                    piece = body[start : start + PIECE]
                    more = start + PIECE < len(body) or message.get("more_body", False)
                    await send({"type": message["type"], "body": piece, "more_body": more})
                return
            await send(message)

        await behind(scope, receive, piecemeal)

    return served


class Exposure:
    """Warns of what strangers could read, whenever that begins to be so."""

    def __init__(self, loopback: bool) -> None:
        self._loopback = loopback
        self._told: str | None = None

    def tell(self, current: WebConfig) -> None:
        """Log what is open with these settings, unless it was the last thing logged."""
        said = None if self._loopback else _exposed(current)
        if said and said != self._told:
            log.warning(said)
        self._told = said


def _exposed(current: WebConfig) -> str | None:
    if not current.authenticates:
        return (
            "whoever reaches this address reads everything here: there is no authentication; "
            "see --web.config.file"
        )
    if current.tls is None:
        return (
            "passwords travel in the clear: there are basic_auth_users but no tls_server_config "
            "in the web configuration"
        )
    return None
