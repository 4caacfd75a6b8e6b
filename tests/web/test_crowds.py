"""Connections that are opened and left: each is ended in time, and none keeps a scrape waiting."""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from exporter.web import connection as connections
from exporter.web.acceptor import CONNECTIONS, Acceptor, room
from exporter.web.auth import Passwords
from exporter.web.connection import DEADLINES, LARGEST_HEAD, LARGEST_REST, Phase
from exporter.web.front import front
from exporter.web.server import Server, listen
from exporter.web.tls import Tls
from exporter.web.webconfig import WebConfig, parse
from tests.harness import until
from tests.web.certificates import Authority
from tests.web.serving import TLS, Serving, serving

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
# A TLS record that announces more of a hello than follows.
HALF_A_HELLO = bytes.fromhex("16030100c8010000c40303")


@contextmanager
def many(port: int, number: int, send: bytes) -> Iterator[list[socket.socket]]:
    """Open connections that send this and then nothing."""
    opened = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(number)]
    try:
        for s in opened:
            s.sendall(send)
        yield opened
    finally:
        for s in opened:
            s.close()


def ended(s: socket.socket) -> bool:
    """Whether the server ended the connection; waits for it."""
    try:
        return s.recv(65536) == b""
    except ConnectionResetError:
        return True


def test_stalled_connections(tmp_path: Path) -> None:
    """200 that say nothing, half a hello or half a head delay no scrape, and end after 5 s."""
    with serving(tmp_path, TLS % "") as running:
        assert running.status() == 200
        with (
            many(running.port, 70, b"") as silent,
            many(running.port, 70, HALF_A_HELLO) as handshaking,
            half_heads(running, 60) as half,
        ):
            stalled = time.monotonic()
            for _ in range(5):
                began = time.monotonic()
                assert running.status() == 200
                assert time.monotonic() - began < 2.5  # with a machine that has other work
            for s in (*silent, *handshaking, *half):
                assert ended(s)
            assert time.monotonic() - stalled < DEADLINES[Phase.HEAD] + 5
        assert running.status() == 200


@contextmanager
def half_heads(running: Serving, number: int) -> Iterator[list[ssl.SSLSocket]]:
    context = running.trusting()
    opened: list[ssl.SSLSocket] = []
    try:
        for _ in range(number):
            plain = socket.create_connection(("127.0.0.1", running.port), timeout=20)
            secured = context.wrap_socket(plain, server_hostname="localhost")
            secured.sendall(GET[:-4])
            opened.append(secured)
        yield opened
    finally:
        for s in opened:
            s.close()


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """An application: `/large` is more than any socket takes at once."""
    body = b"x" * 50_000_000 if scope["path"] == "/large" else b"hello"
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def server() -> AsyncIterator[tuple[int, Server]]:
    """Run the server in this process; yields its port."""
    listener = listen("127.0.0.1:0")
    passwords = Passwords()
    running = Server(front(hello, WebConfig, passwords), lambda: None)
    task = asyncio.create_task(running.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1], running
    finally:
        running.should_exit = True
        await task
        passwords.close()


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def opened(port: int, send: bytes) -> Streams:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(send)
    return reader, writer


async def answer(streams: Streams) -> bytes:
    """Read one answer of `hello`."""
    return await asyncio.wait_for(streams[0].readuntil(b"hello"), 20)


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; nothing tells when."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # a state of others, without an event
            await asyncio.sleep(0.02)


async def is_ended(streams: Streams) -> bool:
    try:
        async with asyncio.timeout(20):
            while await streams[0].read(1 << 20):
                pass
    except ConnectionResetError:
        pass
    streams[1].close()
    return True


def limits(monkeypatch: pytest.MonkeyPatch, **seconds: float) -> None:
    shorter = {phase: seconds.get(phase.value, 600.0) for phase in Phase}
    monkeypatch.setattr(connections, "DEADLINES", shorter)


POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
SLOW = {
    "silent": ("head", b"", 0),
    "half a head": ("head", GET[:-4], 0),
    "half a head after a request": ("head", GET + GET[:-4], 1),
    "half a body": ("head", POST % 9 + b"123", 1),
    "idle": ("idle", GET, 1),
    "deaf": ("answer", GET.replace(b"/ ", b"/large "), 0),
}


@pytest.mark.parametrize(("phase", "send", "answers"), SLOW.values(), ids=SLOW.keys())
def test_deadlines(phase: str, send: bytes, answers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a client leaves undone, the deadline of just that ends its connection."""
    limits(monkeypatch, **{phase: 0.5})

    async def main() -> None:
        async with server() as (port, running):
            streams = await opened(port, send)
            for _ in range(answers):
                assert b"200" in await answer(streams)
            open_now = running.server_state.connections
            await eventually(lambda: len(open_now) == 1)
            held = [c.transport.get_write_buffer_size() for c in open_now]
            assert sum(held) < 1_000_000  # of the 50 MB that the deaf one does not take
            await eventually(lambda: not open_now)
            streams[1].close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_head_in_drops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each drop comes in time, but the head as a whole does not: that ends the connection."""
    limits(monkeypatch, head=0.5)

    async def main() -> None:
        async with server() as (port, running):
            _, writer = await opened(port, b"GET / HTTP/1.1\r\n")
            await eventually(lambda: len(running.server_state.connections) == 1)
            async with asyncio.timeout(20):
                while running.server_state.connections:
                    writer.write(b"a: b\r\n")
                    await asyncio.sleep(0.1)
            writer.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_limits_on_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that is too long and a body that goes on are cut off; shorter ones are served on."""
    limits(monkeypatch)  # far from any deadline

    async def main() -> None:
        async with server() as (port, _):
            long = await opened(
                port, GET[:-2] + b"a: " + b"x" * (LARGEST_HEAD + 8192) + b"\r\n\r\n"
            )
            assert b" 400 " in await long[0].readline()
            assert await is_ended(long)

            # A body is not read but skipped, and the connection used again.
            polite = await opened(port, POST % 30_000)
            assert b"200" in await answer(polite)
            polite[1].write(b"x" * 30_000 + GET)
            assert b"200" in await answer(polite)
            polite[1].write(GET + GET)  # and two at once
            assert b"200" in await answer(polite)
            assert b"200" in await answer(polite)
            polite[1].close()

            flood = await opened(port, POST % 100_000_000)
            assert b"200" in await answer(flood)
            flood[1].write(b"x" * (LARGEST_REST * 64))
            assert await is_ended(flood)

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_large_answer_is_whole() -> None:
    """An answer of many pieces arrives as it is, and the next one after it."""

    async def main() -> None:
        async with server() as (port, _):
            streams = await opened(port, GET.replace(b"/ ", b"/large ") + GET)
            head = await streams[0].readuntil(b"\r\n\r\n")
            assert b"content-length: 50000000" in head
            assert await streams[0].readexactly(50_000_000) == b"x" * 50_000_000
            assert b"200" in await answer(streams)
            streams[1].close()

    asyncio.run(asyncio.wait_for(main(), 60))


async def accepting(
    work: Callable[[int, Acceptor], Awaitable[None]], most: int, tls: Tls | None = None
) -> None:
    config = uvicorn.Config(hello, log_config=None, lifespan="off", ws="none", interface="asgi3")
    config.load()
    acceptor = Acceptor(config, ServerState(), lambda: tls, most)
    listener = listen("127.0.0.1:0")
    task = asyncio.create_task(acceptor.run(listener))
    try:
        await work(listener.getsockname()[1], acceptor)
    finally:
        task.cancel()
        await asyncio.wait([task])
        acceptor.close()
        listener.close()
        await asyncio.sleep(0.05)


def test_the_oldest_goes() -> None:
    """With no room left the connection that waits longest for its client goes, not the new one."""

    async def work(port: int, acceptor: Acceptor) -> None:
        silent = [await opened(port, b"GET") for _ in range(3)]
        await eventually(lambda: len(acceptor) == 3)
        fresh = await opened(port, b"GET")
        assert await is_ended(silent[0])
        assert len(acceptor) == 3  # the limit of those that have sent no whole request

        kept = [await opened(port, GET) for _ in range(5)]
        for streams in kept:
            assert b"200" in await answer(streams)
        assert await is_ended(silent[1])
        assert await is_ended(silent[2])
        last = await opened(port, GET)  # the sixth that is idle
        assert b"200" in await answer(last)
        assert await is_ended(fresh)
        last_but_one = await opened(port, GET)
        assert b"200" in await answer(last_but_one)
        assert await is_ended(kept[0])
        assert len(acceptor) == 6
        for streams in (*kept[1:], last, last_but_one):
            streams[1].write(GET)
            assert b"200" in await answer(streams)
            streams[1].close()

    asyncio.run(asyncio.wait_for(accepting(work, 6), 60))


def test_the_crowd_leaves_files_to_others() -> None:
    """Where this process may open few files, connections get half of them."""
    limits_now = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, limits_now[1]))
        assert room() == 150
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits_now)
    assert room() <= CONNECTIONS


def test_an_answer_does_not_wait_for_its_head() -> None:
    """The body is sent before the client acknowledged the head: else each scrape takes 40 ms."""

    async def main() -> None:
        async with server() as (port, running):
            streams = await opened(port, GET)
            assert b"200" in await answer(streams)
            (connection,) = running.server_state.connections
            raw = connection.transport.get_extra_info("socket")
            assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            streams[1].close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_new_ones_do_not_go_for_old_ones(tmp_path: Path) -> None:
    """A connection within its handshake is not ended for older ones that only sent half a head."""
    authority = Authority()
    authority.sign("server").write(tmp_path, "server")
    tls = parse(TLS % "", "w", tmp_path).tls
    trusting = ssl.create_default_context(cadata=authority.pem.decode())

    async def work(port: int, acceptor: Acceptor) -> None:
        old = []
        for _ in range(8):
            streams = await asyncio.open_connection(
                "127.0.0.1", port, ssl=trusting, server_hostname="localhost"
            )
            streams[1].write(GET[:-4])
            old.append(streams)
        newest = await opened(port, b"")
        await eventually(lambda: len(acceptor) == 9)
        silent = [await opened(port, b"") for _ in range(4)]  # of 13 ten may be unfinished
        for streams in old[:3]:
            assert await is_ended(streams)
        await newest[1].start_tls(trusting, server_hostname="localhost")
        newest[1].write(GET)
        assert b"200" in await answer(newest)
        for streams in (*old[3:], newest, *silent):
            streams[1].close()

    asyncio.run(asyncio.wait_for(accepting(work, 20, tls), 60))


def test_a_crowd_comes_and_goes() -> None:
    """Hundreds that open, send rubbish and hang up leave nothing behind."""

    async def work(port: int, acceptor: Acceptor) -> None:
        for i in range(300):
            rubbish = (b"", b"\0" * 50, GET, GET[:9], b"\r\n" * 9)[i % 5]
            _, writer = await opened(port, rubbish)
            writer.close()
        await eventually(lambda: len(acceptor) == 0)

    asyncio.run(asyncio.wait_for(accepting(work, 64), 60))


def test_a_handshake_that_breaks_off(tmp_path: Path) -> None:
    """Rubbish instead of a handshake, and hanging up within one, leave a line in no log."""
    with serving(tmp_path, TLS % "") as running:
        before = running.running.log.read_text()
        for text in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 99, HALF_A_HELLO, b""):
            with many(running.port, 5, text):
                pass
        assert until(lambda: running.status() == 200)
        new = running.running.log.read_text()[len(before) :]
        assert [line for line in new.splitlines() if "collector" not in line] == []
