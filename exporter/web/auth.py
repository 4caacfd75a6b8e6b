"""Basic authentication (RFC 7617) with bcrypt hashes, in front of everything that is served.

A comparison takes about a tenth of a second on purpose, so it runs in a thread, is made once for
requests that come together, and is remembered. A user that does not exist costs the same.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import Enum

import bcrypt
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

# bcrypt reads so much of a password; htpasswd and Go cut the rest off without a word.
BCRYPT_READS = 72
REMEMBERED = 1024
THREADS = 2
# Comparisons that may wait, of everybody and of one address: one client that guesses does not
# keep the others out.
WAITING = 64
WAITING_PER_CLIENT = 8


class Verdict(Enum):
    """What became of a request's credentials."""

    RIGHT = 1
    WRONG = 2
    BUSY = 3


class Passwords:
    """Compares passwords; what it remembers is useless to whoever reads its memory's cache.

    Remembered are keyed hashes of user, hash and password, under a key that this process drew:
    never a password. Right ones and wrong ones are held apart, so guessing forgets nobody.
    """

    def __init__(self, check: Callable[[bytes, bytes], bool] = bcrypt.checkpw) -> None:
        self._check = check
        self._secret = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._under_way: dict[bytes, asyncio.Task[bool]] = {}
        self._waiting: dict[str, int] = {}
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="bcrypt")

    async def verify(
        self, users: Mapping[str, str], user: str, password: bytes, client: str
    ) -> Verdict:
        """Return whether the password is the user's, or BUSY when too many are being compared.

        `client` is the address that is asking.
        """
        password = password[:BCRYPT_READS]
        dummy = self._dummy(users, user)  # for a known user too: it takes the same time
        against = users.get(user, dummy).encode()
        key = self._key(user.encode(), against, password)
        for remembered, verdict in ((self._right, Verdict.RIGHT), (self._wrong, Verdict.WRONG)):
            if key in remembered:
                remembered.move_to_end(key)
                return verdict
        task = self._under_way.get(key)
        if task is None:
            full = len(self._under_way) >= WAITING
            if full or self._waiting.get(client, 0) >= WAITING_PER_CLIENT:
                return Verdict.BUSY
            task = asyncio.create_task(self._compare(key, password, against))
            self._under_way[key] = task
            self._waiting[client] = self._waiting.get(client, 0) + 1
            task.add_done_callback(lambda _: self._compared(key, client))
        # Who asked may hang up; others may wait for the same.
        return Verdict.RIGHT if await asyncio.shield(task) else Verdict.WRONG

    async def _compare(self, key: bytes, password: bytes, against: bytes) -> bool:
        loop = asyncio.get_running_loop()
        same = await loop.run_in_executor(self._pool, self._check, password, against)
        remembered = self._right if same else self._wrong
        remembered[key] = None
        if len(remembered) > REMEMBERED:
            remembered.popitem(last=False)
        return same

    def _compared(self, key: bytes, client: str) -> None:
        del self._under_way[key]
        self._waiting[client] -= 1
        if not self._waiting[client]:
            del self._waiting[client]

    def _key(self, *parts: bytes) -> bytes:
        # Each with its length: no two credentials have the same text.
        text = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.digest(self._secret, text, hashlib.sha256)

    def _dummy(self, users: Mapping[str, str], user: str) -> str:
        """Return a hash of no password, at the cost of one of the users, always the same one.

        So the time of an answer tells nothing of whether the user exists, be their costs equal
        or not.
        """
        costs = sorted(hashed[4:6] for hashed in users.values())
        drawn = self._key(b"unknown", user.encode())
        cost = costs[int.from_bytes(drawn, "big") % len(costs)]
        digest = base64.b64encode(drawn, b"./").decode()[:31]
        return f"$2b${cost}${'.' * 22}{digest}"

    def close(self) -> None:
        """Drop what is waiting; does not wait for what is being compared."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class BasicAuth:
    """An ASGI application behind a password, while there are users; they are asked each time."""

    def __init__(
        self, app: ASGIApp, users: Callable[[], Mapping[str, str]], passwords: Passwords
    ) -> None:
        self._app = app
        self._users = users
        self._passwords = passwords

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401, or 503 while too many passwords are compared."""
        users = self._users()
        if not users:
            await self._app(scope, receive, send)
            return
        client = scope.get("client")
        verdict = Verdict.WRONG
        given = credentials(Headers(scope=scope).get("authorization", ""))
        if given:
            user, password = given
            verdict = await self._passwords.verify(
                users, user, password, client[0] if client else ""
            )
        if verdict is Verdict.RIGHT:
            await self._app(scope, receive, send)
        elif verdict is Verdict.BUSY:
            busy = PlainTextResponse("Too many logins at once.\n", 503, {"Retry-After": "1"})
            await busy(scope, receive, send)
        else:
            challenge = {"WWW-Authenticate": 'Basic realm="PrivateLink Exporter", charset="UTF-8"'}
            await PlainTextResponse("Unauthorized\n", 401, challenge)(scope, receive, send)


def credentials(authorization: str) -> tuple[str, bytes] | None:
    """Return user and password of an Authorization header; None unless it is Basic and whole."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None
