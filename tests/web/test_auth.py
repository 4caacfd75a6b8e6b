"""Passwords: who is let in, what is remembered, and that nobody is kept waiting."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Awaitable, Callable

import bcrypt
import pytest

from exporter.web import auth
from exporter.web.auth import Passwords, Verdict, credentials


def hashed(password: bytes, cost: int = 4) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode()


USERS = {"alice": hashed(b"sesame"), "bob": hashed(b"mellon", 5)}


class Counting:
    """bcrypt's comparison, which counts and, until it is let go, waits."""

    def __init__(self, *, held: bool = False) -> None:
        self.against: list[bytes] = []
        self.threads: set[str] = set()
        self.go = threading.Event()
        if not held:
            self.go.set()

    def __call__(self, password: bytes, against: bytes) -> bool:
        self.against.append(against)
        self.threads.add(threading.current_thread().name)
        assert self.go.wait(20)
        return bcrypt.checkpw(password, against)


def with_passwords(
    check: Callable[[bytes, bytes], bool], work: Callable[[Passwords], Awaitable[None]]
) -> None:
    async def main() -> None:
        passwords = Passwords(check)
        try:
            await work(passwords)
        finally:
            passwords.close()

    asyncio.run(main())


CASES = {
    "right": ("alice", b"sesame", Verdict.RIGHT),
    "another's": ("alice", b"mellon", Verdict.WRONG),
    "the other user": ("bob", b"mellon", Verdict.RIGHT),
    "nobody": ("carol", b"sesame", Verdict.WRONG),
    "no password": ("alice", b"", Verdict.WRONG),
    "a NUL": ("alice", b"sesame\0", Verdict.WRONG),
    "longer than bcrypt reads": ("alice", b"sesame" * 100, Verdict.WRONG),
    "no user": ("", b"", Verdict.WRONG),
}


@pytest.mark.parametrize(("user", "password", "verdict"), CASES.values(), ids=CASES.keys())
def test_who_is_let_in(user: str, password: bytes, verdict: Verdict) -> None:
    """Only the user's own password lets in, the first time and when it is remembered."""
    check = Counting()

    async def work(passwords: Passwords) -> None:
        for _ in range(3):
            assert await passwords.verify(USERS, user, password, "192.0.2.1") is verdict

    with_passwords(check, work)
    assert len(check.against) == 1
    assert all(name.startswith("bcrypt") for name in check.threads)


def test_a_long_password() -> None:
    """Of a password bcrypt reads 72 bytes, as htpasswd and Go have it."""
    users = {"alice": hashed(b"x" * 72)}

    async def work(passwords: Passwords) -> None:
        assert await passwords.verify(users, "alice", b"x" * 90, "") is Verdict.RIGHT
        assert await passwords.verify(users, "alice", b"x" * 71, "") is Verdict.WRONG

    with_passwords(bcrypt.checkpw, work)


def test_nobody_costs_as_much_as_somebody() -> None:
    """An unknown user is compared too, at the cost of one of the users and always the same."""
    check = Counting()

    async def work(passwords: Passwords) -> None:
        for i in range(40):
            await passwords.verify(USERS, f"nobody{i % 20}", str(i).encode(), "")

    with_passwords(check, work)
    costs = [against[4:6] for against in check.against]
    assert costs[:20] == costs[20:]
    assert set(costs) == {b"04", b"05"}


def test_a_changed_hash_is_another_user() -> None:
    """What was remembered of a user's old hash lets nobody in under the new one."""

    async def work(passwords: Passwords) -> None:
        assert await passwords.verify(USERS, "alice", b"sesame", "") is Verdict.RIGHT
        new = {"alice": hashed(b"changed")}
        assert await passwords.verify(new, "alice", b"sesame", "") is Verdict.WRONG
        assert await passwords.verify({"bob": USERS["bob"]}, "alice", b"sesame", "") is (
            Verdict.WRONG
        )

    with_passwords(bcrypt.checkpw, work)


def test_the_same_is_compared_once() -> None:
    """Requests that come together with the same credentials wait for one comparison."""
    check = Counting(held=True)

    async def work(passwords: Passwords) -> None:
        asked = [
            asyncio.create_task(passwords.verify(USERS, "alice", b"sesame", f"192.0.2.{i}"))
            for i in range(30)
        ]
        await asyncio.sleep(0)
        asked[0].cancel()  # the first one hangs up; the others still want to know
        check.go.set()
        found = await asyncio.gather(*asked[1:])
        assert set(found) == {Verdict.RIGHT}

    with_passwords(check, work)
    assert len(check.against) == 1


def test_guessing_is_bounded_and_forgets_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever guesses fills neither the queue for others nor the memory of who was right."""
    monkeypatch.setattr(auth, "REMEMBERED", 3)
    check = Counting()

    async def work(passwords: Passwords) -> None:
        assert await passwords.verify(USERS, "alice", b"sesame", "192.0.2.1") is Verdict.RIGHT
        check.go.clear()
        guesses = [
            asyncio.create_task(passwords.verify(USERS, "alice", str(i).encode(), "192.0.2.66"))
            for i in range(50)
        ]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        # Known credentials do not queue, and another client finds room.
        assert await passwords.verify(USERS, "alice", b"sesame", "192.0.2.66") is Verdict.RIGHT
        other = asyncio.create_task(passwords.verify(USERS, "bob", b"mellon", "192.0.2.2"))
        await asyncio.sleep(0)
        check.go.set()
        assert await other is Verdict.RIGHT
        found = await asyncio.gather(*guesses)
        assert found.count(Verdict.WRONG) == auth.WAITING_PER_CLIENT
        assert found.count(Verdict.BUSY) == 50 - auth.WAITING_PER_CLIENT
        compared = len(check.against)
        assert await passwords.verify(USERS, "alice", b"sesame", "192.0.2.1") is Verdict.RIGHT
        assert len(check.against) == compared
        assert await passwords.verify(USERS, "alice", b"0", "192.0.2.1") is Verdict.WRONG
        assert len(check.against) == compared + 1  # it was forgotten: the memory is bounded

    with_passwords(check, work)


def test_no_password_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered holds no password, and differs from process to process."""

    async def work(passwords: Passwords) -> None:
        await passwords.verify(USERS, "alice", b"sesame", "")
        held.append(repr(vars(passwords)))

    held: list[str] = []
    with_passwords(bcrypt.checkpw, work)
    with_passwords(bcrypt.checkpw, work)
    assert "sesame" not in held[0]
    remembered = [text.partition("_right")[2].partition("_wrong")[0] for text in held]
    assert remembered[0] != remembered[1]


def basic(text: bytes) -> str:
    return f"Basic {base64.b64encode(text).decode()}"


HEADERS = {
    "whole": (basic(b"alice:sesame"), ("alice", b"sesame")),
    "small letters": (basic(b"alice:sesame").replace("Basic", "basic"), ("alice", b"sesame")),
    "a colon in the password": (basic(b"alice:a:b"), ("alice", b"a:b")),
    "UTF-8": (basic("älice:é".encode()), ("älice", "é".encode())),
    "empty": (basic(b":"), ("", b"")),
    "no colon": (basic(b"alice"), None),
    "no UTF-8": (basic(b"\xff:x"), None),
    "no base64": ("Basic !!!", None),
    "not ASCII": ("Basic é", None),
    "another scheme": ("Bearer abc", None),
    "only the scheme": ("Basic", None),
    "nothing": ("", None),
}


@pytest.mark.parametrize(("header", "expected"), HEADERS.values(), ids=HEADERS.keys())
def test_credentials(header: str, expected: tuple[str, bytes] | None) -> None:
    """A header is taken as RFC 7617 has it; what is not whole is no credentials."""
    assert credentials(header) == expected
